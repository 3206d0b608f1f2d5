//! Statements of a case file: assignments of literals and of arithmetic on them, which is what the conversions of units
//! at the end of case files consist of. Anything else is refused by its name and line.

use std::collections::HashMap;

use super::lexer::{Kind, Token, tokens};
use super::names;
use super::value::{Index, Matrix, Value, numbers, whole};
use crate::Error;

/// Brackets inside brackets, at most.
const DEEPEST: usize = 60;

const WAY_OUT: &str =
    "write the case with plain numbers (MW, MVAr, p.u.), for instance by saving it from MATPOWER";

/// What a case file assigns.
#[derive(Debug, Default)]
pub(super) struct Workspace {
    pub(super) fields: HashMap<String, Value>,
    pub(super) last_line: usize,
}

/// Fields that change nothing here.
const IGNORED: [&str; 8] = [
    "version",
    "bus_name",
    "gentype",
    "genfuel",
    "areas",
    "gen_name",
    "branch_name",
    "casename",
];

/// Fields that are read.
const READ: [&str; 5] = ["baseMVA", "bus", "gen", "branch", "gencost"];

/// Runs the statements of a case file.
pub(super) fn run(text: &str) -> Result<Workspace, Error> {
    let tokens = tokens(text)?;
    let last_line = tokens.last().map_or(1, |token| token.line);
    let mut run = Run {
        tokens,
        at: 0,
        structure: "mpc".to_owned(),
        variables: HashMap::new(),
        fields: HashMap::new(),
        depth: 0,
        ends: Vec::new(),
    };
    while run.statement()? {}
    Ok(Workspace {
        fields: run.fields,
        last_line,
    })
}

struct Run {
    tokens: Vec<Token>,
    at: usize,
    /// The name of the result, `mpc` as a rule.
    structure: String,
    variables: HashMap<String, Value>,
    fields: HashMap<String, Value>,
    depth: usize,
    /// What `end` means in the indices that are open.
    ends: Vec<usize>,
}

impl Run {
    fn token(&self) -> &Token {
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    fn line(&self) -> usize {
        self.token().line
    }

    fn advance(&mut self) {
        self.at = (self.at + 1).min(self.tokens.len() - 1);
    }

    fn is(&self, sign: &str) -> bool {
        matches!(&self.token().kind, Kind::Sign(found) if *found == sign)
    }

    fn take(&mut self, sign: &str) -> bool {
        let found = self.is(sign);
        if found {
            self.advance();
        }
        found
    }

    fn expect(&mut self, sign: &str, expected: &'static str) -> Result<(), Error> {
        if self.take(sign) {
            Ok(())
        } else {
            Err(self.syntax(expected))
        }
    }

    fn syntax(&self, expected: &'static str) -> Error {
        Error::Syntax {
            line: self.line(),
            expected,
            found: self.token().describe(),
        }
    }

    fn unsupported(line: usize, what: impl Into<String>) -> Error {
        Error::Unsupported {
            line,
            what: what.into(),
            way_out: WAY_OUT,
        }
    }

    fn name(&mut self, expected: &'static str) -> Result<String, Error> {
        if let Kind::Name(name) = &self.token().kind {
            let name = name.clone();
            self.advance();
            Ok(name)
        } else {
            Err(self.syntax(expected))
        }
    }

    fn skip_line(&mut self) {
        while !matches!(self.token().kind, Kind::Line | Kind::End) {
            self.advance();
        }
    }

    /// Runs one statement; false at the end of the file.
    fn statement(&mut self) -> Result<bool, Error> {
        while matches!(self.token().kind, Kind::Line | Kind::Sign(";" | ",")) {
            self.advance();
        }
        let line = self.line();
        match self.token().kind.clone() {
            Kind::End => return Ok(false),
            Kind::Sign("[") => self.constants()?,
            Kind::Name(name) => match name.as_str() {
                "function" => self.header()?,
                "end" | "endfunction" | "return" => self.advance(),
                "define_constants" => {
                    self.advance();
                    for list in names::LISTS {
                        self.define(list);
                    }
                }
                "if" | "for" | "while" | "switch" | "try" | "do" | "global" | "persistent"
                | "parfor" => {
                    return Err(Self::unsupported(line, format!("`{name}`")));
                }
                _ => self.assignment()?,
            },
            _ => return Err(self.syntax("a statement")),
        }
        if matches!(
            self.token().kind,
            Kind::Line | Kind::End | Kind::Sign(";" | ",")
        ) {
            Ok(true)
        } else {
            Err(self.syntax("the end of the statement"))
        }
    }

    /// `function mpc = name`.
    fn header(&mut self) -> Result<(), Error> {
        let line = self.line();
        self.advance();
        if self.is("[") {
            return Err(Self::unsupported(line, "a case of format 1"));
        }
        let name = self.name("the name of the result")?;
        if self.take("=") {
            self.name("the name of the case")?;
            self.structure = name;
        }
        self.skip_line(); // arguments, which case files do not use
        Ok(())
    }

    /// `[PQ, PV, ...] = idx_bus`.
    fn constants(&mut self) -> Result<(), Error> {
        let line = self.line();
        self.advance();
        let mut wanted = Vec::new();
        while !self.take("]") {
            if self.take(",") {
                continue;
            }
            if self.take("~") {
                wanted.push(None);
                continue;
            }
            wanted.push(Some(self.name("a name or `]`")?));
        }
        self.expect("=", "`=`")?;
        let source = self.name("idx_bus, idx_brch, idx_gen or idx_cost")?;
        let Some(list) = names::LISTS.iter().find(|list| list.source == source) else {
            return Err(Self::unsupported(line, format!("`{source}`")));
        };
        for (position, name) in wanted.into_iter().enumerate() {
            let Some(&(_, value)) = list.values.get(position) else {
                return Err(Error::Value {
                    line,
                    what: format!(
                        "`{source}` has {} values, more are asked for",
                        list.values.len()
                    ),
                });
            };
            if let Some(name) = name {
                self.variables
                    .insert(name, Value::Matrix(Matrix::scalar(value)));
            }
        }
        Ok(())
    }

    fn define(&mut self, list: &names::List) {
        for &(name, value) in list.values {
            self.variables
                .insert(name.to_owned(), Value::Matrix(Matrix::scalar(value)));
        }
    }

    /// `mpc.field = ..`, `mpc.field(i, j) = ..`, `name = ..` or `name(i, j) = ..`.
    fn assignment(&mut self) -> Result<(), Error> {
        let line = self.line();
        let name = self.name("a name")?;
        let field = if name == self.structure {
            if !self.take(".") {
                return Err(Self::unsupported(
                    line,
                    format!("a statement on the whole of `{name}`"),
                ));
            }
            let field = self.name("the name of a field")?;
            if !READ.contains(&field.as_str()) && !IGNORED.contains(&field.as_str()) {
                return Err(Self::unsupported(
                    line,
                    format!("the field `{name}.{field}`"),
                ));
            }
            Some(field)
        } else {
            None
        };
        if self.is(".") {
            return Err(Self::unsupported(line, format!("a field of `{name}`")));
        }
        let index = if self.is("(") {
            let target = match &field {
                Some(field) => self.fields.get(field),
                None => self.variables.get(&name),
            };
            let shape = match target {
                Some(Value::Matrix(matrix)) => (matrix.rows, matrix.columns),
                _ => return Err(Self::unsupported(line, format!("`{name}(..)`"))),
            };
            self.advance();
            Some(self.indices(shape)?)
        } else {
            None
        };
        if !self.is("=") {
            return Err(
                if index.is_none()
                    && matches!(
                        self.token().kind,
                        Kind::Name(_) | Kind::Line | Kind::End | Kind::Sign(";" | ",")
                    )
                {
                    Self::unsupported(line, format!("the statement `{name}`"))
                } else {
                    self.syntax("`=`")
                },
            );
        }
        self.advance();
        let value = self.expression(false)?;
        let slot = match &field {
            Some(field) => self.fields.entry(field.clone()),
            None => self.variables.entry(name),
        };
        match index {
            None => {
                slot.insert_entry(value);
            }
            Some((rows, columns)) => {
                let (Value::Matrix(target), Value::Matrix(value)) =
                    (slot.or_insert(Value::Cell), &value)
                else {
                    return Err(Error::Value {
                        line,
                        what: "only numbers can be assigned to entries".to_owned(),
                    });
                };
                target.put(&rows, &columns, value, line)?;
            }
        }
        Ok(())
    }

    /// What stands between the brackets of an index, the closing one included.
    fn indices(&mut self, (rows, columns): (usize, usize)) -> Result<(Index, Index), Error> {
        let line = self.line();
        let vector = rows == 1 || columns == 1;
        // One index counts along a vector; of a matrix it would count by columns, which nobody means in a case.
        let count_first = if self.one_index() && vector {
            rows * columns
        } else {
            rows
        };
        let first = self.index(count_first)?;
        if self.take(",") {
            let second = self.index(columns)?;
            self.expect(")", "`)` after two indices")?;
            return Ok((first, second));
        }
        self.expect(")", "`,` or `)` in an index")?;
        if !vector {
            return Err(Self::unsupported(line, "a single index into a matrix"));
        }
        let only = Index::These(vec![0]);
        Ok(if rows == 1 {
            (only, first)
        } else {
            (first, only)
        })
    }

    /// Whether the index that starts here has one part.
    fn one_index(&self) -> bool {
        let mut depth = 0_usize;
        for token in &self.tokens[self.at..] {
            match token.kind {
                Kind::Sign("(" | "[") => depth += 1,
                Kind::Sign(")" | "]") if depth == 0 => return true,
                Kind::Sign(")" | "]") => depth -= 1,
                Kind::Sign(",") if depth == 0 => return false,
                Kind::Line | Kind::End => return true,
                _ => {}
            }
        }
        true
    }

    fn index(&mut self, count: usize) -> Result<Index, Error> {
        let line = self.line();
        if self.is(":") {
            self.advance();
            return Ok(Index::All);
        }
        self.ends.push(count);
        let first = self.expression(false);
        let range = if first.is_ok() && self.take(":") {
            Some(self.expression(false))
        } else {
            None
        };
        self.ends.pop();
        let Value::Matrix(first) = first? else {
            return Err(Error::Value {
                line,
                what: "an index is a number".to_owned(),
            });
        };
        if self.is(":") {
            return Err(Self::unsupported(line, "a range with a step"));
        }
        let Some(last) = range else {
            return Ok(Index::These(
                first
                    .data
                    .iter()
                    .map(|&value| whole(value, line))
                    .collect::<Result<_, _>>()?,
            ));
        };
        let (Some(first), Value::Matrix(last)) = (first.as_scalar(), last?) else {
            return Err(Error::Value {
                line,
                what: "a range has two numbers".to_owned(),
            });
        };
        let Some(last) = last.as_scalar() else {
            return Err(Error::Value {
                line,
                what: "a range has two numbers".to_owned(),
            });
        };
        let (first, last) = (whole(first, line)?, whole(last, line)?);
        if last >= count {
            return Err(Error::Value {
                line,
                what: format!("position {} is asked for, there are {count}", last + 1),
            });
        }
        Ok(Index::These((first..=last).collect()))
    }

    /// Sums, the loosest operators.
    fn expression(&mut self, in_matrix: bool) -> Result<Value, Error> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(Error::Value {
                line: self.line(),
                what: "brackets are nested too deeply".to_owned(),
            });
        }
        let mut value = self.product(in_matrix)?;
        loop {
            let line = self.line();
            let function: fn(f64, f64) -> f64 = match self.token().kind {
                Kind::Sign("+") => |a, b| a + b,
                Kind::Sign("-") => |a, b| a - b,
                Kind::Sign(
                    sign @ ("==" | "~=" | "!=" | "<" | ">" | "<=" | ">=" | "&&" | "||" | "@"),
                ) => {
                    return Err(Self::unsupported(line, format!("`{sign}`")));
                }
                _ => break,
            };
            // In brackets `1 -2` are two numbers, `1 - 2` and `1-2` are one.
            let next_spaced = self.tokens.get(self.at + 1).is_some_and(|next| next.spaced);
            if in_matrix && self.token().spaced && !next_spaced {
                break;
            }
            self.advance();
            let right = self.product(in_matrix)?;
            value = Value::Matrix(numbers(value, line)?.combine(
                numbers(right, line)?,
                line,
                function,
            )?);
        }
        self.depth -= 1;
        Ok(value)
    }

    fn product(&mut self, in_matrix: bool) -> Result<Value, Error> {
        let mut value = self.signed(in_matrix)?;
        loop {
            let line = self.line();
            let Kind::Sign(sign @ ("*" | "/" | ".*" | "./")) = self.token().kind else {
                return Ok(value);
            };
            self.advance();
            let left = numbers(value, line)?;
            let right = numbers(self.signed(in_matrix)?, line)?;
            let scalar = |matrix: &Matrix| matrix.as_scalar().is_some();
            if (sign == "*" && !scalar(&left) && !scalar(&right))
                || (sign == "/" && !scalar(&right))
            {
                return Err(Self::unsupported(
                    line,
                    format!("`{sign}` between matrices"),
                ));
            }
            value = Value::Matrix(if sign.ends_with('*') {
                left.combine(right, line, |a, b| a * b)?
            } else {
                left.combine(right, line, |a, b| a / b)?
            });
        }
    }

    fn signed(&mut self, in_matrix: bool) -> Result<Value, Error> {
        let line = self.line();
        let mut negative = false;
        while self.is("-") || self.is("+") {
            negative ^= self.is("-");
            self.advance();
        }
        let value = self.power(in_matrix)?;
        if negative {
            Ok(Value::Matrix(numbers(value, line)?.map(|entry| -entry)))
        } else {
            Ok(value)
        }
    }

    fn power(&mut self, in_matrix: bool) -> Result<Value, Error> {
        let mut value = self.postfix(in_matrix)?;
        while self.is("^") || self.is(".^") {
            let line = self.line();
            let plain = self.is("^");
            self.advance();
            let mut negative = false;
            while self.is("-") || self.is("+") {
                negative ^= self.is("-");
                self.advance();
            }
            let exponent = numbers(self.postfix(in_matrix)?, line)?;
            let base = numbers(value, line)?;
            if plain && (base.as_scalar().is_none() || exponent.as_scalar().is_none()) {
                return Err(Self::unsupported(line, "`^` of a matrix"));
            }
            let sign = if negative { -1.0 } else { 1.0 };
            value = Value::Matrix(base.combine(exponent, line, move |a, b| a.powf(sign * b))?);
        }
        Ok(value)
    }

    fn postfix(&mut self, in_matrix: bool) -> Result<Value, Error> {
        let mut value = self.primary(in_matrix)?;
        loop {
            let line = self.line();
            if self.is("'") || self.is(".'") {
                self.advance();
                value = Value::Matrix(numbers(value, line)?.transposed());
            } else if self.is("(") && !(in_matrix && self.token().spaced) {
                let matrix = numbers(value, line)?;
                self.advance();
                let (rows, columns) = self.indices((matrix.rows, matrix.columns))?;
                value = Value::Matrix(matrix.pick(&rows, &columns, line)?);
            } else {
                return Ok(value);
            }
        }
    }

    fn primary(&mut self, in_matrix: bool) -> Result<Value, Error> {
        let line = self.line();
        match self.token().kind.clone() {
            Kind::Number(value) => {
                self.advance();
                Ok(Value::Matrix(Matrix::scalar(value)))
            }
            Kind::Text(text) => {
                self.advance();
                Ok(Value::Text(text))
            }
            Kind::Sign("(") => {
                self.advance();
                let value = self.expression(false)?;
                self.expect(")", "`)`")?;
                Ok(value)
            }
            Kind::Sign("[") => self.matrix(),
            Kind::Sign("{") => self.cell(),
            Kind::Name(name) => {
                self.advance();
                self.named(&name, line, in_matrix)
            }
            _ => Err(self.syntax("a value")),
        }
    }

    fn named(&mut self, name: &str, line: usize, in_matrix: bool) -> Result<Value, Error> {
        if name == self.structure {
            self.expect(".", "`.` and the name of a field")?;
            let field = self.name("the name of a field")?;
            return self
                .fields
                .get(&field)
                .cloned()
                .ok_or_else(|| Error::Value {
                    line,
                    what: format!("`{name}.{field}` is used before it is assigned"),
                });
        }
        if let Some(value) = self.variables.get(name) {
            return Ok(value.clone());
        }
        if name == "end" {
            if let Some(&count) = self.ends.last() {
                return Ok(Value::Matrix(Matrix::scalar(count as f64)));
            }
            return Err(Error::Syntax {
                line,
                expected: "a value",
                found: "`end`".to_owned(),
            });
        }
        let constant = match name {
            "pi" => Some(std::f64::consts::PI),
            "Inf" | "inf" => Some(f64::INFINITY),
            "NaN" | "nan" => Some(f64::NAN),
            "eps" => Some(f64::EPSILON),
            _ => None,
        };
        if let Some(value) = constant {
            return Ok(Value::Matrix(Matrix::scalar(value)));
        }
        let function: fn(f64) -> f64 = match name {
            "sqrt" => f64::sqrt,
            "sin" => f64::sin,
            "cos" => f64::cos,
            "tan" => f64::tan,
            "asin" => f64::asin,
            "acos" => f64::acos,
            "atan" => f64::atan,
            "exp" => f64::exp,
            "log" => f64::ln,
            "abs" => f64::abs,
            _ => return Err(Self::unsupported(line, format!("`{name}`"))),
        };
        if !self.is("(") || (in_matrix && self.token().spaced) {
            return Err(self.syntax("`(` after the name of a function"));
        }
        self.advance();
        let argument = numbers(self.expression(false)?, line)?;
        self.expect(")", "`)` after the argument of a function")?;
        let value = argument.map(function);
        // The square root of a negative number is complex, and so are others outside their domain.
        if value.data.iter().any(|entry| entry.is_nan()) {
            return Err(Error::Value {
                line,
                what: format!("`{name}` has no real value here"),
            });
        }
        Ok(Value::Matrix(value))
    }

    /// `[1 2; 3 4]`, the brackets included.
    fn matrix(&mut self) -> Result<Value, Error> {
        let opened = self.line();
        self.advance();
        let mut matrix = Matrix::default();
        let mut row = Matrix::default();
        let mut row_line = self.line();
        loop {
            match self.token().kind {
                Kind::Sign("]") => {
                    self.advance();
                    matrix.stack(row, row_line)?;
                    return Ok(Value::Matrix(matrix));
                }
                Kind::Sign(";") | Kind::Line => {
                    self.advance();
                    matrix.stack(std::mem::take(&mut row), row_line)?;
                }
                Kind::Sign(",") => self.advance(),
                Kind::End | Kind::Sign("=") => {
                    return Err(Error::Syntax {
                        line: self.line(),
                        expected: "`]`",
                        found: format!(
                            "{}; the matrix opened on line {opened} is not closed",
                            self.token().describe()
                        ),
                    });
                }
                _ => {
                    let line = self.line();
                    if row.data.is_empty() {
                        row_line = line;
                    }
                    let element = numbers(self.expression(true)?, line)?;
                    row = row.beside(element, line)?;
                }
            }
        }
    }

    /// `{'a'; 'b'}`: checked for its brackets, otherwise skipped.
    fn cell(&mut self) -> Result<Value, Error> {
        let opened = self.line();
        let mut depth = 0_usize;
        loop {
            match self.token().kind {
                Kind::Sign("{") => depth += 1,
                Kind::Sign("}") => {
                    depth -= 1;
                    if depth == 0 {
                        self.advance();
                        return Ok(Value::Cell);
                    }
                }
                Kind::End => {
                    return Err(Error::Syntax {
                        line: self.line(),
                        expected: "`}`",
                        found: format!(
                            "the end of the file; the cell opened on line {opened} is not closed"
                        ),
                    });
                }
                _ => {}
            }
            self.advance();
        }
    }
}
