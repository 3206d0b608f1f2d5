//! The C interface of HiGHS behind a safe type: the only module of the crate with `unsafe`.
//!
//! What makes it sound: [`Engine`] owns its handle alone; every array's length is compared with the size of the
//! model before its pointer is handed over; every return code is checked; and the one callback neither keeps
//! what it is given nor lets a panic reach C++.

use std::any::Any;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};

use highs_sys as sys;
use highs_sys::HighsInt;

use super::data::{EngineError, IntLines, Lines, ModelData, int, same};

fn check(call: &'static str, status: HighsInt) -> Result<(), EngineError> {
    match status {
        sys::STATUS_OK => Ok(()),
        // A warning is for instance a run that ended at its time limit, or a matrix entry below 1e-12.
        sys::STATUS_WARNING => {
            tracing::debug!(call, "HiGHS warns");
            Ok(())
        }
        _ => Err(EngineError::Call(call)),
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Empty,
    Optimal,
    Infeasible,
    UnboundedOrInfeasible,
    Unbounded,
    TimeLimit,
    IterationLimit,
    Interrupted,
    /// Anything else, by the engine's name of it.
    Failed(&'static str),
}

/// What a run left behind; entries that the engine did not compute are NaN.
#[derive(Clone, Debug)]
pub(super) struct Point {
    pub columns: Vec<f64>,
    pub row_duals: Vec<f64>,
}

/// Something that happens during a run and may stop it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    /// A simplex iteration.
    Simplex { iterations: u64 },
    /// An interior point iteration.
    InteriorPoint { iterations: u64 },
    /// Branch and bound looks at its limits, or has something to log.
    Branch {
        nodes: u64,
        objective: f64,
        bound: f64,
    },
}

/// Listens to a run; `true` asks the engine to stop.
pub(super) type Listener<'a> = dyn Fn(Event) -> bool + Sync + 'a;

/// The listener together with a place for its panic, which must not cross C++.
struct Watch<'a> {
    listener: &'a Listener<'a>,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

/// The callbacks we ask for. Only those named interrupt may answer with a request to stop.
const CALLBACKS: [HighsInt; 5] = [
    sys::kHighsCallbackSimplexInterrupt,
    sys::kHighsCallbackIpmInterrupt,
    sys::kHighsCallbackMipInterrupt,
    sys::kHighsCallbackMipImprovingSolution,
    sys::kHighsCallbackMipLogging,
];

/// Called by HiGHS, possibly from one of its own threads.
unsafe extern "C" fn on_event(
    kind: c_int,
    _message: *const c_char,
    out: *const sys::HighsCallbackDataOut,
    answer: *mut sys::HighsCallbackDataIn,
    user: *mut c_void,
) {
    // SAFETY: `user` is the `Watch` that `Engine::run` keeps alive, unmoved and shared, for as long as the run
    // lasts; `out` and `answer` are valid for the length of this call or null.
    let (watch, out, answer) = unsafe {
        (
            user.cast::<Watch<'_>>().as_ref(),
            out.as_ref(),
            answer.as_mut(),
        )
    };
    let (Some(watch), Some(out)) = (watch, out) else {
        return;
    };
    let count = |number: HighsInt| u64::try_from(number).unwrap_or(0);
    let event = match kind {
        sys::kHighsCallbackSimplexInterrupt => Event::Simplex {
            iterations: count(out.simplex_iteration_count),
        },
        sys::kHighsCallbackIpmInterrupt => Event::InteriorPoint {
            iterations: count(out.ipm_iteration_count),
        },
        _ => Event::Branch {
            nodes: u64::try_from(out.mip_node_count).unwrap_or(0),
            objective: out.mip_primal_bound,
            bound: out.mip_dual_bound,
        },
    };
    let stop = match catch_unwind(AssertUnwindSafe(|| (watch.listener)(event))) {
        Ok(stop) => stop,
        Err(panic) => {
            watch
                .panic
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get_or_insert(panic);
            true
        }
    };
    let may_stop = matches!(
        kind,
        sys::kHighsCallbackSimplexInterrupt
            | sys::kHighsCallbackIpmInterrupt
            | sys::kHighsCallbackMipInterrupt
    );
    if let (true, Some(answer)) = (stop && may_stop, answer) {
        answer.user_interrupt = 1;
    }
}

/// One HiGHS instance: a model, its options, its last basis and solution.
#[derive(Debug)]
pub(super) struct Engine {
    handle: NonNull<c_void>,
    columns: usize,
    rows: usize,
}

// SAFETY: a HiGHS instance holds no state tied to the thread that made it; what is tied to a thread, the
// scheduler of its workers, is set up by every run (`Engine::run`). It is not `Sync`: calls must not overlap.
unsafe impl Send for Engine {}

impl Drop for Engine {
    fn drop(&mut self) {
        // SAFETY: the handle comes from `Highs_create` and is destroyed here only.
        unsafe { sys::Highs_destroy(self.handle.as_ptr()) }
    }
}

thread_local! {
    /// The number of threads for which HiGHS has set up its workers of this thread; `None` before any run.
    static WORKERS: std::cell::Cell<Option<HighsInt>> = const { std::cell::Cell::new(None) };
}

impl Engine {
    /// A silent instance without a model.
    pub(super) fn new() -> Result<Self, EngineError> {
        // SAFETY: no requirements.
        let handle = NonNull::new(unsafe { sys::Highs_create() })
            .ok_or(EngineError::Call("Highs_create"))?;
        let mut engine = Self {
            handle,
            columns: 0,
            rows: 0,
        };
        engine.set_flag(c"output_flag", false)?;
        engine.set_flag(c"log_to_console", false)?;
        Ok(engine)
    }

    /// The version, such as `1.15.0`.
    pub(super) fn version() -> String {
        // SAFETY: HiGHS returns a pointer to a constant, terminated string.
        unsafe {
            let text = sys::Highs_version();
            if text.is_null() {
                String::new()
            } else {
                CStr::from_ptr(text).to_string_lossy().into_owned()
            }
        }
    }

    pub(super) fn set_flag(&mut self, option: &CStr, value: bool) -> Result<(), EngineError> {
        // SAFETY: the handle is ours; the name is terminated.
        check("Highs_setBoolOptionValue", unsafe {
            sys::Highs_setBoolOptionValue(
                self.handle.as_ptr(),
                option.as_ptr(),
                HighsInt::from(value),
            )
        })
    }

    pub(super) fn set_int(&mut self, option: &CStr, value: usize) -> Result<(), EngineError> {
        let value = int(value)?;
        // SAFETY: as above.
        check("Highs_setIntOptionValue", unsafe {
            sys::Highs_setIntOptionValue(self.handle.as_ptr(), option.as_ptr(), value)
        })
    }

    pub(super) fn set_number(&mut self, option: &CStr, value: f64) -> Result<(), EngineError> {
        // SAFETY: as above.
        check("Highs_setDoubleOptionValue", unsafe {
            sys::Highs_setDoubleOptionValue(self.handle.as_ptr(), option.as_ptr(), value)
        })
    }

    pub(super) fn set_text(&mut self, option: &CStr, value: &CStr) -> Result<(), EngineError> {
        // SAFETY: as above, for both strings.
        check("Highs_setStringOptionValue", unsafe {
            sys::Highs_setStringOptionValue(self.handle.as_ptr(), option.as_ptr(), value.as_ptr())
        })
    }

    /// Replaces the model.
    pub(super) fn pass(&mut self, model: &ModelData<'_>) -> Result<(), EngineError> {
        let (columns, rows) = (model.costs.len(), model.row_lower.len());
        same("lower bounds", columns, model.lower.len())?;
        same("upper bounds", columns, model.upper.len())?;
        same("upper row sides", rows, model.row_upper.len())?;
        let matrix = model.matrix.checked("matrix", columns, rows)?;
        let quadratic = model.hessian.count() > 0;
        let hessian = if quadratic {
            model.hessian.checked("Hessian", columns, columns)?
        } else {
            IntLines {
                starts: Vec::new(),
                indices: Vec::new(),
            }
        };
        let integrality: Vec<HighsInt> = model
            .integer
            .iter()
            .map(|&integer| HighsInt::from(integer))
            .collect();
        if !integrality.is_empty() {
            same("integrality", columns, integrality.len())?;
        }
        // SAFETY: all arrays have the lengths that the counts announce, as was just checked; a null pointer
        // stands for a missing Hessian and for missing integrality; HiGHS copies what it is given.
        check("Highs_passModel", unsafe {
            sys::Highs_passModel(
                self.handle.as_ptr(),
                int(columns)?,
                int(rows)?,
                int(model.matrix.values.len())?,
                if quadratic {
                    int(model.hessian.values.len())?
                } else {
                    0
                },
                sys::kHighsMatrixFormatColwise,
                sys::kHighsHessianFormatTriangular,
                sys::kHighsObjSenseMinimize,
                model.offset,
                model.costs.as_ptr(),
                model.lower.as_ptr(),
                model.upper.as_ptr(),
                model.row_lower.as_ptr(),
                model.row_upper.as_ptr(),
                matrix.starts.as_ptr(),
                matrix.indices.as_ptr(),
                model.matrix.values.as_ptr(),
                if quadratic {
                    hessian.starts.as_ptr()
                } else {
                    std::ptr::null()
                },
                if quadratic {
                    hessian.indices.as_ptr()
                } else {
                    std::ptr::null()
                },
                if quadratic {
                    model.hessian.values.as_ptr()
                } else {
                    std::ptr::null()
                },
                if integrality.is_empty() {
                    std::ptr::null()
                } else {
                    integrality.as_ptr()
                },
            )
        })?;
        self.columns = columns;
        self.rows = rows;
        Ok(())
    }

    /// Appends rows; the basis stays, with the new rows basic.
    pub(super) fn add_rows(
        &mut self,
        lower: &[f64],
        upper: &[f64],
        rows: Lines<'_>,
    ) -> Result<(), EngineError> {
        same("upper row sides", lower.len(), upper.len())?;
        let lines = rows.checked("new rows", lower.len(), self.columns)?;
        // SAFETY: lengths and indices are checked.
        check("Highs_addRows", unsafe {
            sys::Highs_addRows(
                self.handle.as_ptr(),
                int(lower.len())?,
                lower.as_ptr(),
                upper.as_ptr(),
                int(rows.values.len())?,
                lines.starts.as_ptr(),
                lines.indices.as_ptr(),
                rows.values.as_ptr(),
            )
        })?;
        self.rows += lower.len();
        Ok(())
    }

    /// Appends continuous columns; the basis stays, with the new columns at a bound.
    pub(super) fn add_columns(
        &mut self,
        costs: &[f64],
        lower: &[f64],
        upper: &[f64],
        columns: Lines<'_>,
    ) -> Result<(), EngineError> {
        same("lower bounds", costs.len(), lower.len())?;
        same("upper bounds", costs.len(), upper.len())?;
        let lines = columns.checked("new columns", costs.len(), self.rows)?;
        // SAFETY: lengths and indices are checked.
        check("Highs_addCols", unsafe {
            sys::Highs_addCols(
                self.handle.as_ptr(),
                int(costs.len())?,
                costs.as_ptr(),
                lower.as_ptr(),
                upper.as_ptr(),
                int(columns.values.len())?,
                lines.starts.as_ptr(),
                lines.indices.as_ptr(),
                columns.values.as_ptr(),
            )
        })?;
        self.columns += costs.len();
        Ok(())
    }

    /// Changes the bounds of one column.
    pub(super) fn set_bounds(
        &mut self,
        column: usize,
        lower: f64,
        upper: f64,
    ) -> Result<(), EngineError> {
        let column = int(column)?;
        // SAFETY: HiGHS refuses a column that it does not have.
        check("Highs_changeColBounds", unsafe {
            sys::Highs_changeColBounds(self.handle.as_ptr(), column, lower, upper)
        })
    }

    /// Changes the sides of one row.
    pub(super) fn set_row_bounds(
        &mut self,
        row: usize,
        lower: f64,
        upper: f64,
    ) -> Result<(), EngineError> {
        let row = int(row)?;
        // SAFETY: HiGHS refuses a row that it does not have.
        check("Highs_changeRowBounds", unsafe {
            sys::Highs_changeRowBounds(self.handle.as_ptr(), row, lower, upper)
        })
    }

    /// Changes the cost of one column.
    pub(super) fn set_cost(&mut self, column: usize, cost: f64) -> Result<(), EngineError> {
        let column = int(column)?;
        // SAFETY: HiGHS refuses a column that it does not have.
        check("Highs_changeColCost", unsafe {
            sys::Highs_changeColCost(self.handle.as_ptr(), column, cost)
        })
    }

    /// Offers a point to start from: a MIP start, or the guess from which a crash basis is made.
    pub(super) fn set_start(&mut self, point: &[f64]) -> Result<(), EngineError> {
        same("start", self.columns, point.len())?;
        if point.is_empty() {
            return Ok(());
        }
        // SAFETY: the first array has one entry per column; the null arrays are not read.
        check("Highs_setSolution", unsafe {
            sys::Highs_setSolution(
                self.handle.as_ptr(),
                point.as_ptr(),
                std::ptr::null(),
                std::ptr::null(),
                std::ptr::null(),
            )
        })
    }

    /// Forgets basis and solution; the model and the options stay.
    pub(super) fn forget(&mut self) -> Result<(), EngineError> {
        // SAFETY: the handle is ours.
        check("Highs_clearSolver", unsafe {
            sys::Highs_clearSolver(self.handle.as_ptr())
        })
    }

    /// Solves with up to `threads` threads (0: the engine's choice), while `listener` may stop it.
    ///
    /// A panic of the listener stops the run and goes on from here.
    pub(super) fn run(
        &mut self,
        threads: usize,
        listener: &Listener<'_>,
    ) -> Result<Status, EngineError> {
        let threads = int(threads)?;
        // HiGHS keeps its workers per calling thread and refuses to run with another number of them than it
        // once started.
        if WORKERS
            .replace(Some(threads))
            .is_some_and(|before| before != threads)
        {
            // SAFETY: no run is under way on this thread; the flag waits until the old workers are gone.
            unsafe { sys::Highs_resetGlobalScheduler(1) };
        }
        let watch = Watch {
            listener,
            panic: Mutex::new(None),
        };
        let highs = self.handle.as_ptr();
        // SAFETY: the handle is ours. `watch` outlives the run, after which the callback is taken back, so that
        // HiGHS never holds a pointer to it beyond this function.
        let status = unsafe {
            check(
                "Highs_setIntOptionValue",
                sys::Highs_setIntOptionValue(highs, c"threads".as_ptr(), threads),
            )?;
            check("Highs_zeroAllClocks", sys::Highs_zeroAllClocks(highs))?;
            let user = std::ptr::from_ref(&watch).cast_mut().cast::<c_void>();
            let mut status = check(
                "Highs_setCallback",
                sys::Highs_setCallback(highs, Some(on_event), user),
            );
            for kind in CALLBACKS {
                status = status.and_then(|()| {
                    check("Highs_startCallback", sys::Highs_startCallback(highs, kind))
                });
            }
            let status = status.and_then(|()| check("Highs_run", sys::Highs_run(highs)));
            for kind in CALLBACKS {
                sys::Highs_stopCallback(highs, kind);
            }
            sys::Highs_setCallback(highs, None, std::ptr::null_mut());
            status
        };
        if let Some(panic) = watch
            .panic
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
        {
            resume_unwind(panic);
        }
        status?;
        Ok(self.status())
    }

    /// How the last run ended.
    fn status(&self) -> Status {
        // SAFETY: the handle is ours.
        match unsafe { sys::Highs_getModelStatus(self.handle.as_ptr()) } {
            sys::MODEL_STATUS_MODEL_EMPTY => Status::Empty,
            sys::MODEL_STATUS_OPTIMAL => Status::Optimal,
            sys::MODEL_STATUS_INFEASIBLE => Status::Infeasible,
            sys::MODEL_STATUS_UNBOUNDED_OR_INFEASIBLE => Status::UnboundedOrInfeasible,
            sys::MODEL_STATUS_UNBOUNDED => Status::Unbounded,
            sys::MODEL_STATUS_REACHED_TIME_LIMIT => Status::TimeLimit,
            sys::MODEL_STATUS_REACHED_ITERATION_LIMIT
            | sys::MODEL_STATUS_REACHED_SOLUTION_LIMIT => Status::IterationLimit,
            sys::MODEL_STATUS_REACHED_INTERRUPT => Status::Interrupted,
            sys::MODEL_STATUS_NOTSET => Status::Failed("not set"),
            sys::MODEL_STATUS_LOAD_ERROR => Status::Failed("load error"),
            sys::MODEL_STATUS_MODEL_ERROR => Status::Failed("model error"),
            sys::MODEL_STATUS_PRESOLVE_ERROR => Status::Failed("presolve error"),
            sys::MODEL_STATUS_SOLVE_ERROR => Status::Failed("solve error"),
            sys::MODEL_STATUS_POSTSOLVE_ERROR => Status::Failed("postsolve error"),
            sys::MODEL_STATUS_OBJECTIVE_BOUND => Status::Failed("objective bound"),
            sys::MODEL_STATUS_OBJECTIVE_TARGET => Status::Failed("objective target"),
            sys::MODEL_STATUS_REACHED_MEMORY_LIMIT => Status::Failed("memory limit"),
            _ => Status::Failed("unknown"),
        }
    }

    /// The point and the duals that the last run left.
    pub(super) fn point(&self) -> Result<Point, EngineError> {
        let mut columns = vec![f64::NAN; self.columns];
        let mut row_duals = vec![f64::NAN; self.rows];
        // SAFETY: HiGHS writes at most one entry per column or row of its model, which `self.columns` and
        // `self.rows` count, and nothing where the pointer is null.
        check("Highs_getSolution", unsafe {
            sys::Highs_getSolution(
                self.handle.as_ptr(),
                columns.as_mut_ptr(),
                std::ptr::null_mut(),
                std::ptr::null_mut(),
                row_duals.as_mut_ptr(),
            )
        })?;
        Ok(Point { columns, row_duals })
    }

    /// Multipliers of the rows that prove infeasibility, when the last run was a simplex run that found some.
    ///
    /// HiGHS would otherwise solve another problem to find some, out of reach of the listener; so it is asked
    /// first whether it has them.
    pub(super) fn known_dual_ray(&mut self) -> Result<Option<Vec<f64>>, EngineError> {
        let mut exists = 0;
        // SAFETY: with a null pointer HiGHS only says whether there is a ray.
        check("Highs_getDualRay", unsafe {
            sys::Highs_getDualRay(self.handle.as_ptr(), &raw mut exists, std::ptr::null_mut())
        })?;
        if exists == 0 {
            return Ok(None);
        }
        let mut ray = vec![0.0; self.rows];
        // SAFETY: the array has one entry per row.
        check("Highs_getDualRay", unsafe {
            sys::Highs_getDualRay(self.handle.as_ptr(), &raw mut exists, ray.as_mut_ptr())
        })?;
        Ok((exists != 0).then_some(ray))
    }

    /// A direction of unboundedness, when the last run was a simplex run that found one.
    /// As for [`known_dual_ray`](Self::known_dual_ray), it is asked first whether it has one.
    pub(super) fn known_primal_ray(&mut self) -> Result<Option<Vec<f64>>, EngineError> {
        let mut exists = 0;
        // SAFETY: with a null pointer HiGHS only says whether there is a ray.
        check("Highs_getPrimalRay", unsafe {
            sys::Highs_getPrimalRay(self.handle.as_ptr(), &raw mut exists, std::ptr::null_mut())
        })?;
        if exists == 0 {
            return Ok(None);
        }
        let mut ray = vec![0.0; self.columns];
        // SAFETY: the array has one entry per column.
        check("Highs_getPrimalRay", unsafe {
            sys::Highs_getPrimalRay(self.handle.as_ptr(), &raw mut exists, ray.as_mut_ptr())
        })?;
        Ok((exists != 0).then_some(ray))
    }

    /// A count of the last run, such as `simplex_iteration_count`.
    pub(super) fn count(&self, name: &CStr) -> Result<u64, EngineError> {
        let mut value: HighsInt = 0;
        // SAFETY: HiGHS checks the name and the type before it writes one integer.
        check("Highs_getIntInfoValue", unsafe {
            sys::Highs_getIntInfoValue(self.handle.as_ptr(), name.as_ptr(), &raw mut value)
        })?;
        Ok(u64::try_from(value).unwrap_or(0))
    }

    /// Whether HiGHS calls the point that the last run left feasible.
    pub(super) fn has_feasible_point(&self) -> Result<bool, EngineError> {
        let status = self.count(c"primal_solution_status")?;
        Ok(u64::try_from(sys::SOLUTION_STATUS_FEASIBLE).is_ok_and(|feasible| feasible == status))
    }

    /// A number of the last run, such as `mip_dual_bound`.
    pub(super) fn number(&self, name: &CStr) -> Result<f64, EngineError> {
        let mut value = f64::NAN;
        // SAFETY: HiGHS checks the name and the type before it writes one number.
        check("Highs_getDoubleInfoValue", unsafe {
            sys::Highs_getDoubleInfoValue(self.handle.as_ptr(), name.as_ptr(), &raw mut value)
        })?;
        Ok(value)
    }
}
