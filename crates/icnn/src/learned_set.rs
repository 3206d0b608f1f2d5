//! The result of training: a set with its proof, decisions over it, schedules for the vehicles, and a form that needs
//! nothing but linear inequalities.

use evflex_fleet::Schedule;
use evflex_flexibility::{
    AggregateSet, Claim, Decision, Error as FlexibilityError, ExactScaler, FleetPolymatroid,
    InnerPolytope, Membership, Objective, ScaledPolytope, SubsetDirection, SupportPoint,
    SweepCertificate, Verification,
};
use evflex_solver::{Options, Solver};
use ndarray::{Array1, Array2, ArrayView1, s};
use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, check_profile},
    form::LinearForm,
    network::Icnn,
    start::Candidate,
    stored::nested,
};

/// The relative tolerance at which certificates are verified before a set is handed out.
pub const DEFAULT_TOLERANCE: f64 = 1e-9;

/// `Δ + γF` inside the fleet's aggregate set, with the proof.
#[derive(Clone, Debug)]
pub struct LearnedSet<'a> {
    fleet: &'a FleetPolymatroid,
    candidate: Candidate,
    inner: InnerPolytope,
    gamma: f64,
    certificate: SweepCertificate,
    limiting: Vec<SubsetDirection>,
}

/// A set as linear inequalities in absolute powers: `{u : matrix (u, z) ≤ rhs for some z}`.
///
/// Whatever reads it needs no network and nothing of this crate: the columns are the aggregate powers of the steps (kW, positive
/// when the fleet draws power), then auxiliary variables, which may be left out of every answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinearInequalities {
    /// Number of steps, T: the first columns.
    pub steps: usize,
    /// Length of a step, h.
    pub step_hours: f64,
    /// Number of auxiliary variables: the columns after them.
    pub auxiliary: usize,
    /// One inequality per row.
    pub matrix: Vec<Vec<f64>>,
    /// Right-hand sides.
    pub rhs: Vec<f64>,
    /// A profile inside, kW.
    pub center_kw: Vec<f64>,
    /// What is claimed of the set and the profiles that the fleet can follow.
    pub claim: Claim,
}

impl<'a> LearnedSet<'a> {
    /// Scales a candidate by the γ of a complete sweep, and verifies the certificate by arithmetic before anything is claimed.
    ///
    /// # Errors
    /// [`Error::Flexibility`] if the centre is not in the fleet's set or the horizon is too long for a sweep;
    /// [`Error::NotCertified`] if no positive scale fits or the certificate does not verify at [`DEFAULT_TOLERANCE`].
    pub fn certify(
        fleet: &'a FleetPolymatroid,
        scaler: &ExactScaler,
        candidate: &Candidate,
    ) -> Result<Self, Error> {
        let inner = candidate.network.inner_polytope()?;
        let scaling = scaler.scale(&inner, candidate.centre.view())?;
        if scaling.gamma <= 0.0 {
            return Err(Error::NotCertified {
                reason: format!(
                    "the centre is on the boundary over the steps {:?}",
                    scaling.binding_steps
                ),
            });
        }
        let verdict = scaler.verify(
            &scaling.certificate,
            &inner,
            candidate.centre.view(),
            DEFAULT_TOLERANCE,
        )?;
        if let Verification::Refused { largest_violation } = verdict {
            return Err(Error::NotCertified {
                reason: format!("the sweep's certificate is off by {largest_violation:e} relative"),
            });
        }
        Ok(Self {
            fleet,
            candidate: candidate.clone(),
            inner,
            gamma: scaling.gamma,
            certificate: scaling.certificate,
            limiting: scaling.pool,
        })
    }

    /// The network and its centre, before γ.
    #[must_use]
    pub fn candidate(&self) -> &Candidate {
        &self.candidate
    }

    /// The exact γ.
    #[must_use]
    pub fn gamma(&self) -> f64 {
        self.gamma
    }

    /// `F` as the certificate refers to it.
    #[must_use]
    pub fn inner(&self) -> &InnerPolytope {
        &self.inner
    }

    /// The proof that `Δ + γF` is inside the fleet's set; [`SweepCertificate::verify`] checks it by arithmetic.
    #[must_use]
    pub fn certificate(&self) -> &SweepCertificate {
        &self.certificate
    }

    /// Subsets of steps that limit γ or come near to it, most limiting first.
    #[must_use]
    pub fn limiting_subsets(&self) -> &[SubsetDirection] {
        &self.limiting
    }

    /// The network whose set is `γF`, with γ in its biases and box.
    ///
    /// # Errors
    /// [`Error::OriginOutside`] if rounding moved the origin out of the set, which needs `f(0)` just below 0.
    pub fn scaled_network(&self) -> Result<Icnn, Error> {
        self.candidate.network.scaled(self.gamma)
    }

    fn as_polytope(&self) -> Result<ScaledPolytope<'_>, FlexibilityError> {
        ScaledPolytope::new(
            self.fleet,
            &self.inner,
            self.candidate.centre.view(),
            self.gamma,
        )
    }

    /// The mean cost over the set of some decisions, less the given best costs.
    ///
    /// # Errors
    /// [`Error::Training`] for no days, days of different kinds, or another number of best costs.
    pub fn mean_gap(&self, objectives: &[&Objective], best_costs: &[f64]) -> Result<f64, Error> {
        if objectives.len() != best_costs.len() {
            return Err(Error::Training {
                what: "best costs",
                problem: format!("{} for {} days", best_costs.len(), objectives.len()),
            });
        }
        let form = LinearForm::shortest(&self.candidate.network);
        let decisions = crate::loss::decide_all(
            &form,
            objectives,
            self.candidate.centre.view(),
            self.gamma,
            self.fleet.step_hours(),
        )?;
        let total: f64 = decisions
            .iter()
            .zip(best_costs)
            .map(|(decision, best)| decision.cost - best)
            .sum();
        Ok(total / decisions.len() as f64)
    }

    /// The set as linear inequalities in absolute powers, for other programs.
    #[must_use]
    pub fn linear_inequalities(&self) -> LinearInequalities {
        let form = LinearForm::shortest(&self.candidate.network);
        let (rows, columns) = form.matrix.dim();
        let steps = form.steps();
        let auxiliary = columns - steps;
        let bounds = 2 * steps + auxiliary;
        let mut matrix = Array2::zeros((rows + bounds, columns));
        let mut rhs = Array1::zeros(rows + bounds);
        // x = u − Δ and z at the scale γ.
        matrix.slice_mut(s![..rows, ..]).assign(&form.matrix);
        let at_centre = form
            .matrix
            .slice(s![.., ..steps])
            .dot(&self.candidate.centre);
        rhs.slice_mut(s![..rows])
            .assign(&(self.gamma * &form.rhs + &at_centre));
        for t in 0..steps {
            let (above, below) = (rows + 2 * t, rows + 2 * t + 1);
            matrix[(above, t)] = 1.0;
            rhs[above] = self.candidate.centre[t] + self.gamma * form.upper[t];
            matrix[(below, t)] = -1.0;
            rhs[below] = -self.candidate.centre[t] - self.gamma * form.lower[t];
        }
        for j in 0..auxiliary {
            matrix[(rows + 2 * steps + j, steps + j)] = -1.0;
        }
        LinearInequalities {
            steps,
            step_hours: self.fleet.step_hours(),
            auxiliary,
            matrix: nested(&matrix),
            rhs: rhs.to_vec(),
            center_kw: self.candidate.centre.to_vec(),
            claim: self.claim(),
        }
    }

    /// Whether a profile is in the set, by evaluating the network: `f((u − Δ)/γ) ≤ 0` and the box.
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::NotFinite`] for a bad profile; [`Error::Domain`] for a bad tolerance.
    pub fn contains_by_network(
        &self,
        profile: ArrayView1<'_, f64>,
        tolerance_kw: f64,
    ) -> Result<bool, Error> {
        check_profile("the profile", profile, self.candidate.network.steps())?;
        let x = (&profile - &self.candidate.centre) / self.gamma;
        self.candidate
            .network
            .contains(x.view(), tolerance_kw / self.gamma)
    }
}

impl AggregateSet for LearnedSet<'_> {
    fn steps(&self) -> usize {
        self.fleet.steps()
    }

    fn step_hours(&self) -> f64 {
        self.fleet.step_hours()
    }

    fn claim(&self) -> Claim {
        Claim::Inner
    }

    fn support(
        &self,
        direction: ArrayView1<'_, f64>,
        solver: &dyn Solver,
    ) -> Result<SupportPoint, FlexibilityError> {
        self.as_polytope()?.support(direction, solver)
    }

    fn contains(
        &self,
        profile: ArrayView1<'_, f64>,
        tolerance_kw: f64,
        solver: &dyn Solver,
    ) -> Result<Membership, FlexibilityError> {
        self.as_polytope()?.contains(profile, tolerance_kw, solver)
    }

    fn minimise(
        &self,
        objective: &Objective,
        solver: &dyn Solver,
        options: &Options,
    ) -> Result<Decision, FlexibilityError> {
        self.as_polytope()?.minimise(objective, solver, options)
    }

    fn disaggregate(
        &self,
        profile: ArrayView1<'_, f64>,
        solver: &dyn Solver,
    ) -> Result<Schedule, FlexibilityError> {
        self.as_polytope()?.disaggregate(profile, solver)
    }
}
