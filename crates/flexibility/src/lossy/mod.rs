//! Fleets whose batteries lose energy on the way in and on the way out: inner and outer sets, and the gap between them.
//!
//! A vehicle with one-way efficiency `η` stores `g(u) = min(η u, u / η)` per hour at the power `u` (kW at the meter), so its
//! set is
//!
//! ```text
//! U_i = {u : u_lo ≤ u ≤ u_hi,  x_lo ≤ x_t ≤ x_hi,  x_t = Σ_{s ≤ t} δ g(u_s)}.
//! ```
//!
//! `g` is concave. So `x_t ≥ x_lo` is a convex constraint and `x_t ≤ x_hi` is not, and where the sign of the power is free
//! neither `U_i` nor the aggregate set is convex: both are enclosed between polytopes here.
//!
//! - **Outer**, [`LossyOuter`]: the stored rate of a step may be anything between `g(u)` and the chord of `g` over the powers
//!   possible in this step, which is the convex hull of one step (as charge and discharge `c, d ≥ 0` with
//!   `c / c_max + d / d_max ≤ 1`, see arXiv 2411.17484).
//! - **Inner**, [`LossyInner`]: `g(u) ≤ θ u` for every `θ` in `η ..= 1/η`, so `Σ δ θ_s u_s ≤ x_hi` keeps the battery from
//!   overflowing; the lower constraint stays exact, as `y_t ≥ x_lo` with `y_t − y_{t−1} ≤ δ η u_t` and `≤ δ u_t / η`. Where `θ` has
//!   the value that fits the sign of a profile, the majorant is exact at that profile: [`LossyInner::refined`] chooses `θ` from the
//!   best profile and decides again, which never makes it worse (a convex-concave procedure).
//!
//! Powers whose sign is fixed, by their bounds or by what the battery can reach, lose nothing by either set; if all are, both are
//! the exact set and say so.
//!
//! For costs that never rise when power is drawn less, the gap is closed: lowering the power of a step to
//! `g⁻¹(x_t − x_{t−1})` turns every point of the outer set into a profile that the vehicle can follow, with the same energies.
//! So energy at prices that are not negative, and the largest power drawn, are decided exactly, and support
//! values of both sets agree in directions without a positive entry. What remains is a gap for negative prices, tracking,
//! and limits on what is fed in: [`lossy_gap`] measures it.

mod battery;
mod gap;
mod inner;
mod outer;
mod program;

pub use gap::{LossyGap, lossy_gap};
pub use inner::{LossyDecision, LossyInner};
pub use outer::{LossyOuter, RelaxedDecision};
