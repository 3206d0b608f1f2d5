//! A case file as tokens, each with its line.

use crate::Error;

/// What a token is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Number(f64),
    Name(String),
    Text(String),
    /// An operator or bracket; two characters for element-wise operators and comparisons.
    Sign(&'static str),
    /// The end of a line.
    Line,
    /// The end of the file.
    End,
}

/// A token and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) line: usize,
    /// Whether white space stands in front of it: inside brackets that separates elements.
    pub(super) spaced: bool,
}

impl Token {
    /// The token as an error prints it.
    pub(super) fn describe(&self) -> String {
        match &self.kind {
            Kind::Number(value) => format!("{value}"),
            Kind::Name(name) => format!("`{name}`"),
            Kind::Text(text) => format!("the text '{}'", text.chars().take(40).collect::<String>()),
            Kind::Sign(sign) => format!("`{sign}`"),
            Kind::Line => "the end of the line".to_owned(),
            Kind::End => "the end of the file".to_owned(),
        }
    }
}

/// Longer signs first, so that they win.
const SIGNS: [&str; 30] = [
    ".*", "./", ".^", ".'", "==", "~=", "!=", "<=", ">=", "&&", "||", "(", ")", "[", "]", "{", "}",
    "=", "+", "-", "*", "/", "^", ";", ",", ":", "<", ">", "~", "@",
];

/// Cuts a file into tokens.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, Error> {
    let mut found: Vec<Token> = Vec::new();
    let mut block_depth = 0_usize;
    let mut line = 0;
    for content in text.lines() {
        line += 1;
        let trimmed = content.trim();
        if matches!(trimmed, "%{" | "#{") {
            block_depth += 1;
            continue;
        }
        if block_depth > 0 {
            if matches!(trimmed, "%}" | "#}") {
                block_depth -= 1;
            }
            continue;
        }
        if !cut_line(content, line, &mut found)? {
            found.push(Token {
                kind: Kind::Line,
                line,
                spaced: false,
            });
        }
    }
    if block_depth > 0 {
        return Err(Error::Syntax {
            line: line.max(1),
            expected: "the end of the block comment, `%}`",
            found: "the end of the file".to_owned(),
        });
    }
    found.push(Token {
        kind: Kind::End,
        line: line.max(1),
        spaced: true,
    });
    Ok(found)
}

/// Cuts one line; true when it goes on in the next one (`...`).
fn cut_line(content: &str, line: usize, found: &mut Vec<Token>) -> Result<bool, Error> {
    let mut rest = content;
    let mut spaced = true;
    while let Some(first) = rest.chars().next() {
        if first.is_whitespace() {
            spaced = true;
            rest = &rest[first.len_utf8()..];
            continue;
        }
        if first == '%' || first == '#' {
            return Ok(false);
        }
        if rest.starts_with("...") {
            return Ok(true);
        }
        let (kind, length) = if first.is_ascii_digit()
            || (first == '.' && rest[1..].starts_with(|next: char| next.is_ascii_digit()))
        {
            number(rest, line)?
        } else if first.is_ascii_alphabetic() || first == '_' {
            let length = rest
                .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
                .unwrap_or(rest.len());
            (Kind::Name(rest[..length].to_owned()), length)
        } else if first == '"' || (first == '\'' && !transposes(found, spaced)) {
            quoted(rest, first, line)?
        } else if first == '\'' {
            (Kind::Sign("'"), 1)
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            (Kind::Sign(sign), sign.len())
        } else if first == '.' {
            (Kind::Sign("."), 1)
        } else {
            return Err(Error::Syntax {
                line,
                expected: "a statement",
                found: format!("the character {first:?}"),
            });
        };
        found.push(Token { kind, line, spaced });
        spaced = false;
        rest = &rest[length..];
    }
    Ok(false)
}

/// Whether a quote right here transposes what stands before it, instead of opening a text.
fn transposes(found: &[Token], spaced: bool) -> bool {
    !spaced
        && found.last().is_some_and(|token| {
            matches!(
                token.kind,
                Kind::Number(_) | Kind::Name(_) | Kind::Sign(")" | "]" | "}" | "'" | ".'")
            )
        })
}

fn number(rest: &str, line: usize) -> Result<(Kind, usize), Error> {
    let bytes = rest.as_bytes();
    let digits = |mut at: usize| {
        while bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        at
    };
    let mut end = digits(0);
    // `5.*x` is 5 .* x, and so are the other element-wise operators.
    if bytes.get(end) == Some(&b'.')
        && !matches!(bytes.get(end + 1), Some(b'*' | b'/' | b'^' | b'\''))
    {
        end = digits(end + 1);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E' | b'd' | b'D')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let after = digits(end + 1 + sign);
        if after > end + 1 + sign {
            end = after;
        }
    }
    let broken = || Error::Syntax {
        line,
        expected: "a number",
        found: format!("`{}`", rest.chars().take(20).collect::<String>()),
    };
    // A letter, or a second point, right after a number is a garbled number.
    if bytes
        .get(end)
        .is_some_and(|next| next.is_ascii_alphanumeric() || *next == b'_')
    {
        return Err(broken());
    }
    if bytes.get(end) == Some(&b'.') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit) {
        return Err(broken());
    }
    let value = rest[..end]
        .replace(['d', 'D'], "e")
        .parse()
        .map_err(|_| broken())?;
    Ok((Kind::Number(value), end))
}

fn quoted(rest: &str, quote: char, line: usize) -> Result<(Kind, usize), Error> {
    let mut text = String::new();
    let mut characters = rest.char_indices().skip(1).peekable();
    while let Some((at, character)) = characters.next() {
        if character != quote {
            text.push(character);
        } else if characters.peek().is_some_and(|(_, next)| *next == quote) {
            text.push(quote);
            characters.next();
        } else {
            return Ok((Kind::Text(text), at + 1));
        }
    }
    Err(Error::Syntax {
        line,
        expected: "the closing quote of a text",
        found: "the end of the line".to_owned(),
    })
}
