//! One inner polytope judged: the exact set it lies in, how far it may be scaled, what decisions
//! over it cost, and how that changes with its right-hand sides.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use evflex::fleet::Fleet;
use evflex::fleet::readers::fleet::fleet_from_node;
use evflex::fleet::readers::json::{Document, Node};
use evflex::flexibility::{
    AffineForm, AffineInner, AffineScaling, DecisionGradient, FleetPolymatroid, InnerPolytope,
    Objective, ScaledPolytope, SetFunctionTable, SetGradient, Verification,
};
use evflex::solver::{Clarabel, Options};
use ndarray::Array1;
use serde::Serialize;

use crate::config::{Control, RunConfig};
use crate::error::Error;
use crate::report::{OutputFile, Report, json};

/// Tolerance at which the certificate of the exact scaling is verified, relative.
const VERIFICATION_TOLERANCE: f64 = 1e-9;

/// Vehicles × steps³ beyond which the affine certificate and the general affine maps are left out: a minute or more.
const AFFINE_LIMIT: usize = 1_000_000;

/// What `evaluate` is asked.
#[derive(Clone, Debug, clap::Args)]
pub struct EvaluateConfig {
    /// Instance in JSON: fleet, loads, centre and inner set; `-` is standard input
    #[arg(long, value_name = "INSTANCE.json")]
    pub input: PathBuf,
    /// Output and limits.
    #[command(flatten)]
    pub run: RunConfig,
}

/// The instance.
#[derive(Debug)]
struct Instance {
    name: String,
    fleet: Fleet,
    loads: Vec<Array1<f64>>,
    set: Option<(InnerPolytope, Array1<f64>)>,
}

#[derive(Serialize)]
struct Gradient {
    offsets: Vec<f64>,
    power_min_kw: Vec<f64>,
    power_max_kw: Vec<f64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    kink: bool,
}

#[derive(Serialize)]
struct Gradients {
    gamma_exact: Gradient,
    #[serde(skip_serializing_if = "Option::is_none")]
    loss_exact: Option<Gradient>,
}

#[derive(Serialize)]
struct StructurePreserving {
    sigma: Vec<f64>,
    sum: f64,
}

#[derive(Serialize)]
struct GeneralAffine {
    trace: Vec<f64>,
}

/// The answer, in the keys of the instance files.
#[derive(Serialize)]
struct Evaluation {
    name: String,
    version: &'static str,
    method: &'static str,
    status: &'static str,
    seconds: f64,
    support_max_kw: Vec<f64>,
    support_min_kw: Vec<f64>,
    exact_cost_kw: Vec<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gamma_exact: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gamma_certificate: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    set_cost_exact_kw: Option<Vec<f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    set_cost_certificate_kw: Option<Vec<f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gradient: Option<Gradients>,
    structure_preserving: StructurePreserving,
    #[serde(skip_serializing_if = "Option::is_none")]
    general_affine: Option<GeneralAffine>,
    left_out: Vec<&'static str>,
}

/// Runs `evaluate`.
///
/// # Errors
/// [`Error::Input`] with the key for bad data, [`Error::Vehicles`] for lossy vehicles, sets that do not
/// contain their centre and centres outside; [`Error::Check`] if a certificate does not verify.
pub fn evaluate(config: &EvaluateConfig, control: &Control) -> Result<Report, Error> {
    let started = Instant::now();
    let instance = read(&config.input)?;
    let mut options = Options::default()
        .gap(config.run.gap.min(1e-9))
        .cancel(control.cancel.clone());
    if let Some(seconds) = config.run.time_limit {
        let limit = std::time::Duration::try_from_secs_f64(seconds)
            .map_err(|error| Error::option("--time-limit", error.to_string()))?;
        options = options.time_limit(limit);
    }
    let mut evaluation = judge(&instance, &options)?;
    evaluation.seconds = started.elapsed().as_secs_f64();
    let json = json(&evaluation)?;
    let table = table(&instance, &evaluation);
    let file = OutputFile {
        name: "evaluation.json",
        content: json.clone().into_bytes(),
    };
    Ok(Report {
        files: vec![file],
        json,
        table,
    })
}

fn judge(instance: &Instance, options: &Options) -> Result<Evaluation, Error> {
    let vehicles = |source| Error::Vehicles {
        place: "--input",
        source: Box::new(source),
    };
    let fleet = &instance.fleet;
    let exact = FleetPolymatroid::exact(fleet).map_err(vehicles)?;
    let table: SetFunctionTable = exact.table().map_err(vehicles)?;
    let mut exact_cost_kw = Vec::new();
    for load_kw in &instance.loads {
        let objective = Objective::Peak {
            load_kw: load_kw.clone(),
        };
        let answer = exact
            .decide(&objective, options)
            .map_err(Error::computing("the exact peak"))?;
        exact_cost_kw.push(answer.decision.cost);
    }
    let homothets = AffineInner::structure_preserving(fleet, &Clarabel::default(), options)
        .map_err(Error::computing("the structure-preserving maps"))?;
    let sigma: Vec<f64> = homothets
        .maps()
        .iter()
        .map(|map| map.matrix[[0, 0]])
        .collect();
    let mut left_out = Vec::new();
    let general_affine = if fleet.len() * fleet.steps().pow(3) > AFFINE_LIMIT {
        left_out.push("general_affine");
        None
    } else {
        let maps = AffineInner::general_affine(fleet, &Clarabel::default(), options)
            .map_err(Error::computing("the general affine maps"))?;
        Some(GeneralAffine {
            trace: maps
                .maps()
                .iter()
                .map(|map| map.matrix.diag().sum())
                .collect(),
        })
    };
    let mut evaluation = Evaluation {
        name: instance.name.clone(),
        version: env!("CARGO_PKG_VERSION"),
        method: "complete sweep; affine certificate by linear program",
        status: "optimal",
        seconds: 0.0,
        support_max_kw: table.upper().to_vec(),
        support_min_kw: table.lower().to_vec(),
        exact_cost_kw,
        gamma_exact: None,
        gamma_certificate: None,
        set_cost_exact_kw: None,
        set_cost_certificate_kw: None,
        gradient: None,
        structure_preserving: StructurePreserving {
            sum: sigma.iter().sum(),
            sigma,
        },
        general_affine,
        left_out,
    };
    if let Some((inner, centre)) = &instance.set {
        judge_set(&mut evaluation, instance, &exact, inner, centre, options)?;
    }
    Ok(evaluation)
}

fn judge_set(
    evaluation: &mut Evaluation,
    instance: &Instance,
    exact: &FleetPolymatroid,
    inner: &InnerPolytope,
    centre: &Array1<f64>,
    options: &Options,
) -> Result<(), Error> {
    let vehicles = |source| Error::Vehicles {
        place: "--input",
        source: Box::new(source),
    };
    let (scaled, scaling) =
        ScaledPolytope::certified(exact, inner, centre.view()).map_err(vehicles)?;
    let verified = scaling
        .certificate
        .verify(exact, inner, centre.view(), VERIFICATION_TOLERANCE)
        .map_err(Error::computing("the verification of the exact scaling"))?;
    if let Verification::Refused { largest_violation } = verified {
        return Err(Error::Check {
            what: "certificate of the exact scaling",
            reason: format!("an inequality is broken by {largest_violation} of its size"),
        });
    }
    evaluation.gamma_exact = Some(scaling.gamma);
    let (costs, loss) = costs_and_gradient(&scaled, &instance.loads, options)?;
    evaluation.set_cost_exact_kw = Some(costs);
    let of = |gradient: &SetGradient| Gradient {
        offsets: gradient.offsets.to_vec(),
        power_min_kw: gradient.lower.to_vec(),
        power_max_kw: gradient.upper.to_vec(),
        kink: scaling.kink,
    };
    evaluation.gradient = Some(Gradients {
        gamma_exact: of(&scaling.gradient),
        loss_exact: loss.map(|loss| of(&loss.with_scaling(&scaling.gradient))),
    });
    if instance.fleet.len() * instance.fleet.steps().pow(3) > AFFINE_LIMIT {
        evaluation.left_out.push("gamma_certificate");
        return Ok(());
    }
    let Some(gamma) = affine_certificate(&instance.fleet, inner, centre, options)? else {
        evaluation.left_out.push("gamma_certificate");
        return Ok(());
    };
    evaluation.gamma_certificate = Some(gamma);
    let scaled =
        ScaledPolytope::new(exact, inner, centre.view(), gamma.max(0.0)).map_err(vehicles)?;
    evaluation.set_cost_certificate_kw =
        Some(costs_and_gradient(&scaled, &instance.loads, options)?.0);
    Ok(())
}

/// Peak of every load over the set, and the gradient of their mean at fixed γ.
fn costs_and_gradient(
    set: &ScaledPolytope<'_>,
    loads: &[Array1<f64>],
    options: &Options,
) -> Result<(Vec<f64>, Option<DecisionGradient>), Error> {
    let mut costs = Vec::with_capacity(loads.len());
    let mut mean: Option<DecisionGradient> = None;
    let share = 1.0 / loads.len().max(1) as f64;
    for load_kw in loads {
        let objective = Objective::Peak {
            load_kw: load_kw.clone(),
        };
        let (decision, gradient) = set
            .minimise_with_gradient(&objective, &Clarabel::default(), options)
            .map_err(Error::computing("a peak over the scaled set"))?;
        costs.push(decision.cost);
        let mean = mean.get_or_insert_with(|| DecisionGradient {
            gamma: 0.0,
            set: SetGradient::zeros(set.inner()),
        });
        mean.gamma += share * gradient.gamma;
        mean.set.scaled_add(share, &gradient.set);
    }
    Ok((costs, mean))
}

/// γ of the affine certificate (`thanvantri2025`, linear program 10), verified by arithmetic; `None` when none was found.
fn affine_certificate(
    fleet: &Fleet,
    inner: &InnerPolytope,
    centre: &Array1<f64>,
    options: &Options,
) -> Result<Option<f64>, Error> {
    let form = AffineForm::default();
    let solver = Clarabel::default();
    let scaling = match AffineScaling::seek(fleet, inner, centre.view(), form, &solver, options) {
        Ok(scaling) => scaling,
        Err(evflex::flexibility::Error::NotCertified { reason }) => {
            tracing::info!(%reason, "no affine certificate");
            return Ok(None);
        }
        Err(error) => return Err(Error::computing("the affine certificate")(error)),
    };
    scaling
        .verify(fleet, inner, VERIFICATION_TOLERANCE)
        .map_err(Error::computing(
            "the verification of the affine certificate",
        ))?;
    Ok(Some(scaling.gamma()))
}

fn read(path: &Path) -> Result<Instance, Error> {
    let failed = Error::input("--input");
    let document = if path == Path::new("-") {
        let mut text = Vec::new();
        std::io::stdin()
            .lock()
            .read_to_end(&mut text)
            .map_err(|error| Error::option("--input", error.to_string()))?;
        Document::parse(&text).map_err(&failed)?
    } else {
        Document::read(path).map_err(&failed)?
    };
    let mut root = document.root().object().map_err(&failed)?;
    let name = match root.optional("name") {
        Some(name) => name.text().map_err(&failed)?.to_owned(),
        None => path.file_name().map_or_else(
            || "standard input".to_owned(),
            |name| name.to_string_lossy().into_owned(),
        ),
    };
    let fleet = fleet_from_node(&root.required("fleet").map_err(&failed)?).map_err(&failed)?;
    let steps = fleet.steps();
    let loads = match root.optional("loads_kw") {
        Some(loads) => loads
            .matrix(Some(steps))
            .map_err(&failed)?
            .rows()
            .into_iter()
            .map(|row| row.to_owned())
            .collect(),
        None => Vec::new(),
    };
    let centre = root.optional("center_kw");
    let set = match root.optional("set") {
        Some(set) => {
            let centre = match centre {
                Some(centre) => centre.profile(steps).map_err(&failed)?,
                None => return Err(Error::option("--input", "a `set` needs its `center_kw`")),
            };
            Some((read_set(&set, steps)?, Array1::from_vec(centre)))
        }
        None => None,
    };
    root.finish().map_err(&failed)?;
    Ok(Instance {
        name,
        fleet,
        loads,
        set,
    })
}

fn read_set(node: &Node<'_>, steps: usize) -> Result<InnerPolytope, Error> {
    let failed = Error::input("--input");
    let mut object = node.object().map_err(&failed)?;
    let normals = object
        .required("normals")
        .and_then(|rows| rows.matrix(Some(steps)))
        .map_err(&failed)?;
    let offsets = object.required("offsets").map_err(&failed)?;
    let offsets = offsets
        .numbers(Some(normals.nrows()))
        .map_err(&failed)?
        .to_vec();
    let lower = object
        .required("power_min_kw")
        .and_then(|node| node.profile(steps))
        .map_err(&failed)?;
    let upper = object
        .required("power_max_kw")
        .and_then(|node| node.profile(steps))
        .map_err(&failed)?;
    object.finish().map_err(&failed)?;
    InnerPolytope::new(
        normals,
        Array1::from_vec(offsets),
        Array1::from_vec(lower),
        Array1::from_vec(upper),
    )
    .map_err(|source| Error::Vehicles {
        place: "--input: set",
        source: Box::new(source),
    })
}

fn table(instance: &Instance, evaluation: &Evaluation) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<22}{value}");
    };
    let mean = |costs: &[f64]| {
        format!(
            "{:.6} kW, mean of {}",
            costs.iter().sum::<f64>() / costs.len() as f64,
            costs.len()
        )
    };
    line(
        "instance",
        format!(
            "{}, {} vehicles, {} steps",
            evaluation.name,
            instance.fleet.len(),
            instance.fleet.steps()
        ),
    );
    if !evaluation.exact_cost_kw.is_empty() {
        line("peak, exact set", mean(&evaluation.exact_cost_kw));
    }
    for (name, gamma, costs) in [
        (
            "exact scaling",
            evaluation.gamma_exact,
            &evaluation.set_cost_exact_kw,
        ),
        (
            "affine certificate",
            evaluation.gamma_certificate,
            &evaluation.set_cost_certificate_kw,
        ),
    ] {
        if let Some(gamma) = gamma {
            line(name, format!("gamma {gamma:.9}"));
            if let Some(costs) = costs.as_ref().filter(|costs| !costs.is_empty()) {
                line("  peak over the set", mean(costs));
            }
        }
    }
    line(
        "structure preserving",
        format!("sum of sigma {:.6}", evaluation.structure_preserving.sum),
    );
    if let Some(general) = &evaluation.general_affine {
        line(
            "general affine",
            format!("sum of traces {:.6}", general.trace.iter().sum::<f64>()),
        );
    }
    if !evaluation.left_out.is_empty() {
        line("left out for size", evaluation.left_out.join(", "));
    }
    text
}
