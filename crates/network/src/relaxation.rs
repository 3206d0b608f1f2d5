//! Optimal power flow by the second-order cone relaxation, and whether its answer means anything.

use std::fmt;
use std::time::Instant;

use evflex_solver::{Certificate, Options, Outcome, ProblemBuilder, Solver, StopReason};
use ndarray::ArrayView1;

use crate::distflow::{branch_name, scales};
use crate::{BusKind, DistFlow, Error, FlowOptions, Network, PowerFlow};

/// When a relaxed answer counts as exact.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct ExactnessOptions {
    /// Largest cone slack, p.u. on 10 MVA. Default: `1e-6`.
    pub cone_slack: f64,
    /// How far the power flow may exceed a limit of voltage, current (p.u.) or generation (p.u.). Default: `1e-6`.
    pub limit: f64,
    /// Largest `(cost − lower bound) / max(|cost|, 1)`. Default: `1e-6`.
    pub gap: f64,
}

impl Default for ExactnessOptions {
    fn default() -> Self {
        Self {
            cone_slack: 1e-6,
            limit: 1e-6,
            gap: 1e-6,
        }
    }
}

impl ExactnessOptions {
    /// Accepts this cone slack.
    #[must_use]
    pub fn cone_slack(mut self, cone_slack: f64) -> Self {
        self.cone_slack = cone_slack;
        self
    }

    /// Accepts limits exceeded by this much.
    #[must_use]
    pub fn limit(mut self, limit: f64) -> Self {
        self.limit = limit;
        self
    }

    /// Accepts this gap.
    #[must_use]
    pub fn gap(mut self, gap: f64) -> Self {
        self.gap = gap;
        self
    }
}

/// The answer to an optimal power flow by relaxation.
///
/// An operating point exists only in [`Exact`](Self::Exact): there, a power flow at the dispatch keeps all limits and
/// costs what the lower bound says. A relaxed point that no network can take has a bound and nothing else.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Relaxation {
    /// Solved: the optimum of the network, within the gap.
    Exact(Box<OptimalFlow>),
    /// Not solved: the bound holds, the relaxed point is no operating point.
    NotExact(RelaxedBound),
    /// No operating point keeps the limits: already the relaxation has none.
    Infeasible {
        /// Multipliers that prove it, when the solver gives them.
        certificate: Option<Certificate>,
    },
}

/// An optimal operating point with what proves it.
#[derive(Clone, Debug)]
pub struct OptimalFlow {
    /// AC power flow at the optimal dispatch.
    pub flow: PowerFlow,
    /// Its cost per hour.
    pub cost_per_hour: f64,
    /// No operating point within the limits costs less.
    pub lower_bound: f64,
    /// Largest cone slack of the relaxed answer, p.u. on 10 MVA.
    pub largest_cone_slack: f64,
}

impl OptimalFlow {
    /// `(cost − lower bound) / max(|cost|, 1e-9)`.
    #[must_use]
    pub fn gap(&self) -> f64 {
        (self.cost_per_hour - self.lower_bound) / self.cost_per_hour.abs().max(1e-9)
    }
}

/// What a relaxation that is not exact still proves.
#[derive(Clone, Debug, PartialEq)]
pub struct RelaxedBound {
    /// No operating point within the limits costs less per hour.
    pub lower_bound: f64,
    /// Largest cone slack, p.u. on 10 MVA.
    pub largest_cone_slack: f64,
    /// Position of the branch that has it.
    pub branch: usize,
    /// Why the relaxed answer is no operating point.
    pub reason: Inexact,
}

/// Why a relaxed answer is no operating point.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Inexact {
    /// A branch carries more current than its power needs.
    ConeSlack {
        /// The slack, p.u. on 10 MVA.
        slack: f64,
        /// What was allowed.
        allowed: f64,
        /// The branch.
        branch: String,
    },
    /// The power flow at the dispatch exceeds a limit.
    Limit {
        /// The bus, branch or generator.
        of: String,
        /// By how much, p.u.
        excess: f64,
    },
    /// The power flow at the dispatch costs more than the bound.
    Gap {
        /// Its cost per hour.
        cost_per_hour: f64,
        /// The relative difference.
        gap: f64,
    },
    /// The dispatch has no power flow.
    NoFlow,
}

impl fmt::Display for Inexact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConeSlack {
                slack,
                allowed,
                branch,
            } => write!(
                f,
                "{branch} carries more current than its power needs: cone slack {slack:.1e}, allowed {allowed:.0e}"
            ),
            Self::Limit { of, excess } => {
                write!(
                    f,
                    "the power flow at the relaxed dispatch exceeds a limit of {of} by {excess:.1e} p.u."
                )
            }
            Self::Gap { cost_per_hour, gap } => write!(
                f,
                "the power flow at the relaxed dispatch costs {cost_per_hour}, relative gap {gap:.1e} to the bound"
            ),
            Self::NoFlow => write!(f, "the relaxed dispatch has no power flow"),
        }
    }
}

impl Relaxation {
    /// The optimum, when it was found.
    #[must_use]
    pub fn exact(&self) -> Option<&OptimalFlow> {
        match self {
            Self::Exact(optimum) => Some(optimum),
            _ => None,
        }
    }

    /// The proven lower bound on the cost per hour; `None` when there is no operating point.
    #[must_use]
    pub fn lower_bound(&self) -> Option<f64> {
        match self {
            Self::Exact(optimum) => Some(optimum.lower_bound),
            Self::NotExact(bound) => Some(bound.lower_bound),
            Self::Infeasible { .. } => None,
        }
    }
}

impl Network {
    /// Optimal power flow of one snapshot by the relaxation of [`DistFlow`], with a verdict.
    ///
    /// The cheapest dispatch of all generators that serves the loads (MW and `MVAr`, one per bus) within the limits of
    /// voltage, current and generation. With one generator, at the source, nothing is left to choose and the answer is
    /// the power flow, if it keeps the limits.
    ///
    /// ```
    /// use evflex_network::{ExactnessOptions, Network, Relaxation, cases};
    /// use evflex_solver::{Clarabel, Options};
    ///
    /// let network = cases::case69()?;
    /// let (load_mw, load_mvar) = network.loads();
    /// let relax = |network: &Network| {
    ///     let (solver, options) = (Clarabel::default(), Options::default());
    ///     network.relax(load_mw.view(), load_mvar.view(), &solver, &options, &ExactnessOptions::default())
    /// };
    /// let Relaxation::Exact(optimum) = relax(&network)? else { panic!("no limit binds") };
    /// assert!((optimum.cost_per_hour - 80.541_833_883_041_26).abs() < 1e-7);
    ///
    /// // No generator can raise the voltage at the end of the feeder to 0.95 p.u., and no answer pretends that.
    /// let mut case = network.case().clone();
    /// case.buses[64].v_min_pu = 0.95;
    /// assert!(relax(&Network::new(case)?)?.exact().is_none());
    /// # Ok::<(), evflex_network::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`DistFlow::add`], and of the solver; [`Error::Domain`] for an option that is negative or NaN.
    pub fn relax(
        &self,
        load_mw: ArrayView1<'_, f64>,
        load_mvar: ArrayView1<'_, f64>,
        solver: &dyn Solver,
        options: &Options,
        exactness: &ExactnessOptions,
    ) -> Result<Relaxation, Error> {
        for (what, value) in [
            ("the cone slack", exactness.cone_slack),
            ("the limit", exactness.limit),
            ("the gap", exactness.gap),
        ] {
            crate::error::check(
                value >= 0.0,
                what,
                || "the exactness options".to_owned(),
                value,
                "at least 0",
            )?;
        }
        let (block, outcome) = self.solve_relaxed(load_mw, load_mvar, solver, options)?;
        let solution = match outcome {
            Outcome::Infeasible(certificate) => return Ok(Relaxation::Infeasible { certificate }),
            outcome => outcome.into_optimal_of(self.name())?,
        };
        let (largest_cone_slack, branch) = block.largest_cone_slack(solution.primal());
        let lower_bound = solution.bound();
        tracing::debug!(lower_bound, largest_cone_slack, case = %self.name(), "relaxation solved");
        let not_exact = |reason: Inexact| {
            Relaxation::NotExact(RelaxedBound {
                lower_bound,
                largest_cone_slack,
                branch,
                reason,
            })
        };
        // A slack that is NaN is not within any allowance.
        if !matches!(
            largest_cone_slack.partial_cmp(&exactness.cone_slack),
            Some(std::cmp::Ordering::Less | std::cmp::Ordering::Equal)
        ) {
            return Ok(not_exact(Inexact::ConeSlack {
                slack: largest_cone_slack,
                allowed: exactness.cone_slack,
                branch: branch_name(self, branch),
            }));
        }
        let dispatched = self.dispatched(&block.generation(solution.primal()))?;
        let flow = match PowerFlow::solve(&dispatched, load_mw, load_mvar, &FlowOptions::default())
        {
            Ok(flow) => flow,
            Err(Error::NoConvergence { .. } | Error::Collapsed { .. }) => {
                return Ok(not_exact(Inexact::NoFlow));
            }
            Err(error) => return Err(error),
        };
        if let Some((of, excess)) = self.worst_excess(&flow)
            && excess > exactness.limit
        {
            return Ok(not_exact(Inexact::Limit { of, excess }));
        }
        let cost_per_hour = flow.cost_per_hour()?;
        let gap = (cost_per_hour - lower_bound) / cost_per_hour.abs().max(1.0);
        if gap > exactness.gap || gap.is_nan() {
            return Ok(not_exact(Inexact::Gap { cost_per_hour, gap }));
        }
        Ok(Relaxation::Exact(Box::new(OptimalFlow {
            flow,
            cost_per_hour,
            lower_bound,
            largest_cone_slack,
        })))
    }

    /// Solves the relaxation; a second time with equal scales when the first one ends in numerical trouble. Flows of
    /// the size that a power flow has suit exact answers; currents that are burnt can be larger by orders of magnitude.
    fn solve_relaxed(
        &self,
        load_mw: ArrayView1<'_, f64>,
        load_mvar: ArrayView1<'_, f64>,
        solver: &dyn Solver,
        options: &Options,
    ) -> Result<(DistFlow, Outcome), Error> {
        let started = Instant::now();
        let mut builder = ProblemBuilder::new(self.name());
        let block = DistFlow::add(&mut builder, self, "flow", load_mw, load_mvar, &[], 1.0)?;
        let outcome = solver.solve(&builder.build()?, options)?;
        if !matches!(
            outcome,
            Outcome::Stopped {
                reason: StopReason::NumericalTrouble,
                ..
            }
        ) {
            return Ok((block, outcome));
        }
        tracing::debug!(case = %self.name(), "numerical trouble; once more with equal scales");
        let sizes = scales(self, load_mw, load_mvar);
        let largest = sizes.iter().copied().fold(0.0, f64::max);
        let mut builder = ProblemBuilder::new(self.name());
        let equal = vec![largest; sizes.len()];
        let block = DistFlow::add_scaled(
            &mut builder,
            self,
            "flow",
            load_mw,
            load_mvar,
            &[],
            1.0,
            equal,
        )?;
        let outcome = solver.solve(&builder.build()?, &options.remaining(started))?;
        Ok((block, outcome))
    }

    /// The network with its generators at a dispatch (MW, `MVAr`), none of them holding a voltage but the sources.
    fn dispatched(&self, generation: &[(f64, f64)]) -> Result<Self, Error> {
        let mut case = self.case().clone();
        for bus in &mut case.buses {
            if bus.kind == BusKind::Voltage {
                bus.kind = BusKind::Load;
            }
        }
        for (generator, &(p, q)) in case.generators.iter_mut().zip(generation) {
            (generator.p_mw, generator.q_mvar) = (p, q);
        }
        Self::new(case)
    }

    /// The largest excess of a power flow over a limit, p.u., and whose limit it is; negative when all are kept.
    /// Voltages of sources are given and have no limit.
    fn worst_excess(&self, flow: &PowerFlow) -> Option<(String, f64)> {
        let base = self.base_mva();
        let buses = self.buses().iter().zip(&flow.buses).enumerate().filter_map(
            |(position, (bus, state))| {
                let free = self.is_connected(position) && bus.kind != BusKind::Source;
                let excess = (state.v_pu - bus.v_max_pu).max(bus.v_min_pu - state.v_pu);
                free.then(|| (format!("bus {}", bus.id), excess))
            },
        );
        let branches = self
            .branches()
            .iter()
            .zip(&flow.branches)
            .filter_map(|(branch, state)| {
                let excess = state.i_pu - branch.i_max_pu?;
                Some((format!("branch {}-{}", branch.from, branch.to), excess))
            });
        let generators =
            self.generators()
                .iter()
                .zip(&flow.generators)
                .filter_map(|(generator, output)| {
                    let active =
                        (output.p_mw - generator.p_max_mw).max(generator.p_min_mw - output.p_mw);
                    let reactive = (output.q_mvar - generator.q_max_mvar)
                        .max(generator.q_min_mvar - output.q_mvar);
                    generator.in_service.then(|| {
                        (
                            format!("the generator at bus {}", generator.bus),
                            active.max(reactive) / base,
                        )
                    })
                });
        buses
            .chain(branches)
            .chain(generators)
            .max_by(|a, b| a.1.total_cmp(&b.1))
    }
}

#[cfg(test)]
mod tests {
    use evflex_solver::Clarabel;

    use super::*;
    use crate::{Branch, Bus, Case, Generator, cases};

    fn relax(network: &Network) -> Relaxation {
        let (load_mw, load_mvar) = network.loads();
        let options = Options::default().tolerance(1e-9);
        let solver = Clarabel::default();
        network
            .relax(
                load_mw.view(),
                load_mvar.view(),
                &solver,
                &options,
                &ExactnessOptions::default(),
            )
            .unwrap()
    }

    #[test]
    fn anchors() {
        for (network, cost) in [
            (cases::case18().unwrap(), 237.203_759_056_964_37),
            (cases::case33bw().unwrap(), 78.353_542_529_118_81),
            (cases::case69().unwrap(), 80.541_833_883_041_26),
        ] {
            let Relaxation::Exact(optimum) = relax(&network) else {
                panic!("{}: {:?}", network.name(), relax(&network))
            };
            for found in [optimum.cost_per_hour, optimum.lower_bound] {
                let off = (found - cost).abs() / cost;
                assert!(
                    off <= 1e-7,
                    "{}: {found} for {cost}, off by {off:e}",
                    network.name()
                );
            }
            assert!(optimum.largest_cone_slack <= 1e-6);
        }
    }

    /// The capacitors of the 18-bus feeder lift voltages above 1.05 p.u.; with that limit the relaxation has an answer
    /// and burns current that no line carries.
    #[test]
    fn a_binding_upper_voltage_limit_is_not_solved() {
        let mut case = cases::case18().unwrap().case().clone();
        for bus in &mut case.buses {
            bus.v_max_pu = 1.05;
        }
        let network = Network::new(case).unwrap();
        assert!(network.power_flow().unwrap().highest_voltage().v_pu > 1.05);
        let answer = relax(&network);
        assert!(answer.exact().is_none());
        let Relaxation::NotExact(bound) = answer else {
            panic!("{answer:?}")
        };
        assert!(bound.largest_cone_slack > 0.1, "{bound:?}");
        assert!(matches!(bound.reason, Inexact::ConeSlack { .. }));
        assert!(bound.reason.to_string().contains("cone slack"));
        // The bound holds for the network without the limit as well: its optimum is dearer or equal only with it.
        assert!(bound.lower_bound >= 237.203_759 - 1e-6);
    }

    /// With small powers an absolute slack says little; the power flow decides then.
    #[test]
    fn small_networks_do_not_pass_by_their_size() {
        let mut case = Case {
            name: "small".to_owned(),
            base_mva: 10.0,
            buses: vec![Bus::source(1, 1.05), Bus::load(2, 0.0001, -0.0005)],
            branches: vec![Branch::line(1, 2, 100.0, 200.0)],
            generators: vec![Generator::grid(1, 1.05, 20.0)],
        };
        let free = Network::new(case.clone()).unwrap();
        let lifted = free.power_flow().unwrap().highest_voltage().v_pu;
        assert!(lifted > 1.055, "{lifted}");
        assert!(relax(&free).exact().is_some());
        case.buses[1].v_max_pu = 1.052;
        let answer = relax(&Network::new(case).unwrap());
        let Relaxation::NotExact(bound) = answer else {
            panic!("{answer:?}")
        };
        assert!(bound.largest_cone_slack <= 1e-6, "{bound:?}");
        assert!(matches!(bound.reason, Inexact::Limit { .. }), "{bound:?}");
    }

    #[test]
    fn limits_that_cannot_be_kept_are_infeasible() {
        let mut case = cases::case33bw().unwrap().case().clone();
        case.buses[17].v_min_pu = 0.95;
        assert!(matches!(
            relax(&Network::new(case.clone()).unwrap()),
            Relaxation::Infeasible { .. }
        ));
        // A second generator near the end can.
        case.generators.push(Generator {
            p_min_mw: 0.0,
            p_max_mw: 1.0,
            q_min_mvar: -0.5,
            q_max_mvar: 0.5,
            cost: Some([0.0, 60.0, 0.0]),
            ..Generator::grid(18, 1.0, 0.0)
        });
        let network = Network::new(case).unwrap();
        let Relaxation::Exact(optimum) = relax(&network) else {
            panic!("{:?}", relax(&network))
        };
        assert!((optimum.flow.buses[17].v_pu - 0.95).abs() < 1e-5);
        assert!(optimum.flow.generators[1].p_mw < 0.999 && optimum.cost_per_hour > 78.4);
        assert!(optimum.gap() < 1e-6);
    }

    #[test]
    fn current_limits_bind() {
        let mut case = cases::case33bw().unwrap().case().clone();
        case.branches[0].i_max_pu = Some(0.3);
        assert!(matches!(
            relax(&Network::new(case).unwrap()),
            Relaxation::Infeasible { .. }
        ));
    }

    #[test]
    fn what_cannot_be_relaxed_is_named() {
        let (load_mw, load_mvar) = cases::case69().unwrap().loads();
        let with = |cost: Option<[f64; 3]>| {
            let mut case = cases::case69().unwrap().case().clone();
            case.generators[0].cost = cost;
            let (solver, options) = (Clarabel::default(), Options::default());
            let exactness = ExactnessOptions::default();
            let network = Network::new(case).unwrap();
            network
                .relax(
                    load_mw.view(),
                    load_mvar.view(),
                    &solver,
                    &options,
                    &exactness,
                )
                .unwrap_err()
        };
        assert!(matches!(with(None), Error::NoCost { bus: 1 }));
        assert!(matches!(
            with(Some([-1.0, 20.0, 0.0])),
            Error::NotRelaxable { .. }
        ));
    }
}
