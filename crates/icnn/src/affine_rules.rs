//! γ by affine rules: the linear program (10) of `thanvantri2025`, with its derivatives.

use evflex_flexibility::VehicleSet;
use evflex_polytope::{AhPolytope, Certificate, Certifier, Containment, HPolytope, Sensitivity};
use evflex_solver::{Options, Solver};
use ndarray::ArrayView1;

use crate::{
    error::{Error, check_count},
    form::{LinearForm, RowSource},
    layout::{Layout, Parameter},
    loss::move_centre_in_place,
    network::Icnn,
    start::{Candidate, rows_of},
};

/// The largest γ for which affine rules keep every vehicle within its bounds, with proof and derivatives.
#[derive(Clone, Debug)]
pub struct AffineScaling {
    /// γ of the certificate, at most `γ_exact`.
    pub gamma: f64,
    /// The rules: a proof that `Δ + γF` is inside the sum of the vehicles' sets, and a way to split every point of it.
    pub certificate: Certificate,
    /// The set that the certificate is about: `F`, with hidden units where they cannot be eliminated.
    pub inner: AhPolytope,
    /// Derivatives of γ with respect to all parameters, in the order of [`Layout`]; the centre moves with the set in place.
    pub gradient: Vec<f64>,
}

/// The sets of vehicles as polytopes, `{u : H u ≤ h_i}` (`thanvantri2025`, eq. 3), with support values as right-hand sides.
///
/// # Errors
/// [`Error::Polytope`], which checked sets do not cause.
pub fn vehicle_polytopes(vehicles: &[VehicleSet]) -> Result<Vec<AhPolytope>, Error> {
    vehicles
        .iter()
        .map(|vehicle| {
            let (normals, offsets) = rows_of(&vehicle.tightened());
            Ok(HPolytope::new(normals, offsets)?.into())
        })
        .collect()
}

/// Scales a set by the linear program (10) with the vehicles' own sets and the centre Δ of the candidate.
///
/// The program has `O(N T · rows)` variables: moderate T and N only. Derivatives are the multipliers of the program
/// (`dγ/dd = −Σ Λ_iᵀ v_i`), as sharp as the solver's; a simplex engine is better here than an interior point.
///
/// # Errors
/// [`Error::Shape`] for other numbers of steps; [`Error::NotCertified`] if no scale verifies or the solver reports no
/// multipliers; [`Error::Polytope`].
pub fn affine_scaling(
    candidate: &Candidate,
    vehicles: &[AhPolytope],
    solver: &dyn Solver,
    options: &Options,
) -> Result<AffineScaling, Error> {
    let form = LinearForm::shortest(&candidate.network);
    let layout = Layout::of(&candidate.network);
    let mut found = scale(
        &candidate.network,
        &form,
        candidate.centre.view(),
        vehicles,
        solver,
        options,
    )?;
    let mut gradient = vec![0.0; layout.len()];
    add_sensitivity(&layout, &form, &found.1, 1.0, &mut gradient);
    move_centre_in_place(&layout, candidate.network.weights(), &mut gradient);
    found.0.gradient = gradient;
    Ok(found.0)
}

/// The scaling with the sensitivity that its gradient is made from.
pub(crate) fn scale(
    network: &Icnn,
    form: &LinearForm,
    centre: ArrayView1<'_, f64>,
    vehicles: &[AhPolytope],
    solver: &dyn Solver,
    options: &Options,
) -> Result<(AffineScaling, Sensitivity), Error> {
    for vehicle in vehicles {
        check_count(
            || "steps of a vehicle".into(),
            network.steps(),
            vehicle.dimension(),
        )?;
    }
    let inner = match (&form.source, network.h_polytope()?) {
        (RowSource::LastLayer { .. }, Some(polytope)) => polytope.into(),
        _ => network.ah_polytope()?,
    };
    let answer = Certifier::new(solver, options).scaling(&inner, vehicles, centre)?;
    let Containment::Certified(certificate) = answer.containment else {
        return Err(Error::NotCertified {
            reason: format!("{:?}", answer.containment),
        });
    };
    let Some(sensitivity) = answer.sensitivity else {
        return Err(Error::NotCertified {
            reason: format!("{} reported no multipliers", solver.name()),
        });
    };
    let scaling = AffineScaling {
        gamma: certificate.gamma,
        certificate,
        inner,
        gradient: Vec::new(),
    };
    Ok((scaling, sensitivity))
}

/// Adds `factor · dγ/dθ`, the centre's without its chain.
pub(crate) fn add_sensitivity(
    layout: &Layout,
    form: &LinearForm,
    sensitivity: &Sensitivity,
    factor: f64,
    total: &mut [f64],
) {
    let steps = form.steps();
    let hidden = form.hidden_upper.len();
    let (offsets, normals) = (&sensitivity.offsets, &sensitivity.normals);
    // Rows of the form, of the box from above, and from below, among the rows of the polytope.
    let rows = form.matrix.nrows();
    let place = |row: usize| {
        if form.source == RowSource::AllLayers && row + 1 == rows {
            2 * hidden
        } else {
            row
        }
    };
    let above = rows + hidden;
    for t in 0..steps {
        total[layout.range(Parameter::Upper).start + t] += factor * offsets[above + t];
        total[layout.range(Parameter::Lower).start + t] -= factor * offsets[above + steps + t];
        total[layout.range(Parameter::Centre).start + t] += factor * sensitivity.centre[t];
    }
    layout.add_rows(total, form, |row, column| {
        let row = place(row);
        factor * column.map_or(-offsets[row], |column| normals[(row, column)])
    });
}
