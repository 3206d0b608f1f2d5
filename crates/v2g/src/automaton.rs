//! Switching rules as automata over steps, for the dynamic programs.
//!
//! A word of directions is accepted from a set of start states when some path allows it. An automaton is only ever
//! asked for the closure of a rule: a step that may charge may also be idle.

use crate::rule::{Activity, SwitchRule, Switching};

/// What a step may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Charge or be idle.
    Up,
    /// Discharge or be idle.
    Down,
    /// Be idle.
    Hold,
    /// Anything.
    Both,
    /// Charge, and not be idle.
    UpOnly,
    /// Discharge, and not be idle.
    DownOnly,
}

impl Direction {
    pub fn allows(self, activity: Activity) -> bool {
        match activity {
            Activity::Idle => self.holds(),
            Activity::Charge => self.up(),
            Activity::Discharge => self.down(),
        }
    }

    pub fn up(self) -> bool {
        matches!(self, Self::Up | Self::UpOnly | Self::Both)
    }

    pub fn down(self) -> bool {
        matches!(self, Self::Down | Self::DownOnly | Self::Both)
    }

    pub fn holds(self) -> bool {
        !matches!(self, Self::UpOnly | Self::DownOnly)
    }
}

/// All ways into state `to` in one step.
#[derive(Clone, Debug)]
pub(crate) struct Transition {
    pub to: usize,
    pub sources: Vec<usize>,
    pub direction: Direction,
}

/// An automaton whose transitions may depend on the position of a step within a block.
#[derive(Clone, Debug)]
pub(crate) struct Automaton {
    states: usize,
    start: Vec<usize>,
    /// Transitions per phase, in the order of their target states.
    phases: Vec<Vec<Transition>>,
    first_step: usize,
}

impl Automaton {
    /// The automaton of a rule, for schedules.
    pub fn new(switching: Option<Switching>, first_step: usize) -> Self {
        let Some(Switching { rule, gap_steps }) = switching.filter(Switching::is_active) else {
            return Self {
                states: 1,
                start: vec![0],
                phases: vec![vec![transition(0, vec![0], Direction::Both)]],
                first_step,
            };
        };
        match rule {
            SwitchRule::TwoMode => two_mode(gap_steps, first_step, MODES),
            SwitchRule::FirstActivity => two_mode(
                gap_steps,
                first_step,
                [Direction::UpOnly, Direction::DownOnly],
            ),
            SwitchRule::CoolingOff => cooling_off(gap_steps, first_step),
            SwitchRule::ClockHour => clock_hour(gap_steps, first_step),
        }
    }

    /// The automaton of the closure of a rule, for bounds: rule B has that of A, whose schedules it comes arbitrarily close to.
    pub fn closure(switching: Option<Switching>, first_step: usize) -> Self {
        let closed = switching.map(|switching| Switching {
            rule: match switching.rule {
                SwitchRule::FirstActivity => SwitchRule::TwoMode,
                other => other,
            },
            ..switching
        });
        Self::new(closed, first_step)
    }

    pub fn states(&self) -> usize {
        self.states
    }

    pub fn transitions(&self, step: usize) -> &[Transition] {
        self.phase(self.first_step + step)
    }

    fn phase(&self, absolute: usize) -> &[Transition] {
        let count = self.phases.len();
        &self.phases[absolute % count]
    }

    /// The states that a vehicle may be in after its past.
    pub fn start(&self, past: &[Activity]) -> Vec<bool> {
        let mut now = vec![false; self.states];
        for &state in &self.start {
            now[state] = true;
        }
        // Phases repeat, so a past longer than the horizon's start is shifted by whole blocks.
        let count = self.phases.len();
        let shift = self.first_step + past.len().div_ceil(count) * count - past.len();
        for (position, &activity) in past.iter().enumerate() {
            now = self.advance(&now, self.phase(shift + position), activity);
        }
        now
    }

    fn advance(&self, now: &[bool], transitions: &[Transition], activity: Activity) -> Vec<bool> {
        let mut next = vec![false; self.states];
        for transition in transitions {
            if transition.direction.allows(activity) {
                next[transition.to] |= transition.sources.iter().any(|&source| now[source]);
            }
        }
        next
    }

    /// A path of directions under which a word is allowed, or `None`. Among several paths the one whose modes change
    /// as late as possible is taken backwards from the end.
    pub fn directions(&self, past: &[Activity], word: &[Activity]) -> Option<Vec<Direction>> {
        let mut reach = vec![self.start(past)];
        for (step, &activity) in word.iter().enumerate() {
            let next = self.advance(&reach[step], self.transitions(step), activity);
            reach.push(next);
        }
        let mut state = reach[word.len()].iter().position(|&reached| reached)?;
        let mut directions = vec![Direction::Hold; word.len()];
        for step in (0..word.len()).rev() {
            let (direction, source) = self
                .transitions(step)
                .iter()
                .filter(|t| t.to == state && t.direction.allows(word[step]))
                .find_map(|t| {
                    let source = t.sources.iter().find(|&&source| reach[step][source])?;
                    Some((t.direction, *source))
                })?;
            directions[step] = direction;
            state = source;
        }
        Some(directions)
    }
}

fn transition(to: usize, sources: Vec<usize>, direction: Direction) -> Transition {
    Transition {
        to,
        sources,
        direction,
    }
}

const MODES: [Direction; 2] = [Direction::Up, Direction::Down];

/// States (mode, steps since the switch): mode · gap + age, where age gap − 1 is free to switch. `switches` is what the step of
/// a switch into each mode may do.
fn two_mode(gap: usize, first_step: usize, switches: [Direction; 2]) -> Automaton {
    let free = gap - 1;
    let mut transitions = Vec::with_capacity(2 * gap);
    for (mode, &direction) in MODES.iter().enumerate() {
        let (here, other) = (mode * gap, (1 - mode) * gap);
        transitions.push(transition(here, vec![other + free], switches[mode]));
        for age in 1..free {
            transitions.push(transition(here + age, vec![here + age - 1], direction));
        }
        let sources = vec![here + free, here + free - 1];
        transitions.push(transition(here + free, sources, direction));
    }
    Automaton {
        states: 2 * gap,
        start: vec![free, gap + free],
        phases: vec![transitions],
        first_step,
    }
}

/// State 0 is free; 1 + side · (gap − 1) + r − 1 has r idle steps to go before the other direction.
fn cooling_off(gap: usize, first_step: usize) -> Automaton {
    let wait = gap - 1;
    let state = |side: usize, r: usize| 1 + side * wait + r - 1;
    let mut transitions = vec![transition(
        0,
        vec![0, state(0, 1), state(1, 1)],
        Direction::Hold,
    )];
    for (side, &direction) in MODES.iter().enumerate() {
        let mut sources = vec![0];
        sources.extend((1..=wait).map(|r| state(side, r)));
        for r in 1..wait {
            transitions.push(transition(
                state(side, r),
                vec![state(side, r + 1)],
                Direction::Hold,
            ));
        }
        transitions.push(transition(state(side, wait), sources, direction));
    }
    Automaton {
        states: 1 + 2 * wait,
        start: vec![0],
        phases: vec![transitions],
        first_step,
    }
}

/// States 2 · mode + (switched in this block).
fn clock_hour(block: usize, first_step: usize) -> Automaton {
    let within = |first: bool| {
        let mut transitions = Vec::new();
        for (mode, &direction) in MODES.iter().enumerate() {
            let (here, other) = (2 * mode, 2 * (1 - mode));
            if first {
                transitions.push(transition(here, vec![here, here + 1], direction));
                transitions.push(transition(here + 1, vec![other, other + 1], direction));
            } else {
                transitions.push(transition(here, vec![here], direction));
                transitions.push(transition(here + 1, vec![here + 1, other], direction));
            }
        }
        transitions
    };
    let phases = (0..block).map(|phase| within(phase == 0)).collect();
    Automaton {
        states: 4,
        start: vec![0, 2],
        phases,
        first_step,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::switching_allows;

    /// Every word of seven letters, every rule and gap: the automaton and the judge agree.
    #[test]
    fn automata_accept_what_the_judge_allows() {
        let letters = [Activity::Charge, Activity::Idle, Activity::Discharge];
        for gap_steps in 0..6 {
            for rule in [
                SwitchRule::TwoMode,
                SwitchRule::FirstActivity,
                SwitchRule::CoolingOff,
                SwitchRule::ClockHour,
            ] {
                let switching = Switching { rule, gap_steps };
                let automaton = Automaton::new(Some(switching), 0);
                for code in 0..3_usize.pow(7) {
                    let word: Vec<_> = (0..7).map(|k| letters[code / 3_usize.pow(k) % 3]).collect();
                    let accepted = automaton.directions(&[], &word).is_some();
                    assert_eq!(
                        accepted,
                        switching_allows(switching, &word),
                        "{switching:?} {word:?}"
                    );
                    // Split into a past and the rest, nothing changes.
                    let shifted = Automaton::new(Some(switching), 3);
                    let split = shifted.directions(&word[..3], &word[3..]).is_some();
                    assert_eq!(split, accepted, "{switching:?} {word:?} in two parts");
                }
            }
        }
    }
}
