//! Laws of random radial networks: power balance in complex numbers, adjoint against finite differences, batch against
//! single, relaxation against power flow.

#![expect(
    clippy::expect_used,
    clippy::float_cmp,
    reason = "a test stops at the first surprise; a batch repeats numbers bit by bit"
)]

use evflex_network::{
    BatchFlow, Branch, Bus, BusKind, Case, Error, ExactnessOptions, FlowOptions, Generator,
    Network, PowerFlow, Relaxation,
};
use evflex_solver::{Clarabel, Options};
use ndarray::{Array1, Array2, Axis};
use proptest::prelude::*;

/// Complex numbers, enough of them to write Kirchhoff's laws down.
#[derive(Clone, Copy, Debug)]
struct Complex {
    re: f64,
    im: f64,
}

impl Complex {
    fn new(re: f64, im: f64) -> Self {
        Self { re, im }
    }
    fn polar(size: f64, degrees: f64) -> Self {
        let (sin, cos) = degrees.to_radians().sin_cos();
        Self::new(size * cos, size * sin)
    }
    fn times(self, other: Self) -> Self {
        Self::new(
            self.re * other.re - self.im * other.im,
            self.re * other.im + self.im * other.re,
        )
    }
    fn over(self, other: Self) -> Self {
        let size = other.re * other.re + other.im * other.im;
        let top = self.times(other.conjugate());
        Self::new(top.re / size, top.im / size)
    }
    fn plus(self, other: Self) -> Self {
        Self::new(self.re + other.re, self.im + other.im)
    }
    fn minus(self, other: Self) -> Self {
        Self::new(self.re - other.re, self.im - other.im)
    }
    fn conjugate(self) -> Self {
        Self::new(self.re, -self.im)
    }
}

/// What is drawn for one bus and the branch to its parent.
#[derive(Clone, Debug)]
struct Draw {
    parent: prop::sample::Index,
    flipped: bool,
    r: f64,
    x: f64,
    b: f64,
    ratio: f64,
    shift: f64,
    load: (f64, f64),
    shunt: (f64, f64),
}

fn draw() -> impl Strategy<Value = Draw> {
    let line = (
        0.0..0.08_f64,
        0.002..0.08_f64,
        prop_oneof![Just(0.0), 0.0..0.02_f64],
    );
    let tap = (
        prop_oneof![3 => Just(1.0), 1 => 0.95..1.05_f64],
        prop_oneof![3 => Just(0.0), 1 => -30.0..30.0_f64],
    );
    let demand = (
        (-0.2..1.0_f64, -0.5..0.5_f64),
        (0.0..0.02_f64, -0.05..0.05_f64),
    );
    (
        any::<prop::sample::Index>(),
        any::<bool>(),
        line,
        tap,
        demand,
    )
        .prop_map(
            |(parent, flipped, (r, x, b), (ratio, shift), (load, shunt))| Draw {
                parent,
                flipped,
                r,
                x,
                b,
                ratio,
                shift,
                load,
                shunt,
            },
        )
}

/// A radial case with up to 24 buses, one or two sources, loads of at most 0.3 p.u. in all.
fn case() -> impl Strategy<Value = Case> {
    (
        prop::collection::vec(draw(), 1..24),
        1.0..100.0_f64,
        0.97..1.05_f64,
        any::<bool>(),
        0.0..0.5_f64,
    )
        .prop_map(|(draws, base_mva, voltage, second_source, c2)| {
            let share = 0.3 / draws.len() as f64;
            // Neither sorted nor consecutive.
            let id = |position: usize| u32::try_from(position * 7919 % 997 + 1).unwrap_or(1);
            let mut buses = vec![Bus::source(id(0), voltage)];
            let mut branches = Vec::new();
            let mut generators = vec![Generator {
                cost: Some([c2 / base_mva, 20.0, 3.0]),
                ..Generator::grid(id(0), voltage, 20.0)
            }];
            for (position, draw) in draws.iter().enumerate() {
                let own = id(position + 1);
                if second_source && position == draws.len() / 2 {
                    buses.push(Bus::source(own, 1.0));
                    generators.push(Generator::grid(own, 1.0, 30.0));
                    continue;
                }
                let parent = id(draw.parent.index(position + 1));
                let (from, to) = if draw.flipped {
                    (own, parent)
                } else {
                    (parent, own)
                };
                branches.push(Branch {
                    b_pu: draw.b,
                    ratio: draw.ratio,
                    shift_deg: draw.shift,
                    ..Branch::line(from, to, draw.r, draw.x)
                });
                buses.push(Bus {
                    shunt_mw: draw.shunt.0 * base_mva * share,
                    shunt_mvar: draw.shunt.1 * base_mva * share,
                    v_min_pu: 0.5,
                    v_max_pu: 2.0,
                    ..Bus::load(
                        own,
                        draw.load.0 * base_mva * share,
                        draw.load.1 * base_mva * share,
                    )
                });
            }
            Case {
                name: "random".to_owned(),
                base_mva,
                buses,
                branches,
                generators,
            }
        })
}

/// Lets the last bus hold its voltage, with a generator.
fn hold_last(case: &mut Case, voltage: f64) {
    let base = case.base_mva;
    if let Some(bus) = case.buses.last_mut()
        && bus.kind == BusKind::Load
    {
        bus.kind = BusKind::Voltage;
        let id = bus.id;
        case.generators.push(Generator {
            p_mw: 0.05 * base,
            ..Generator::grid(id, voltage, 10.0)
        });
    }
}

/// Kirchhoff's laws with complex voltages: largest mismatch of any bus and of any reported branch end, p.u.
fn mismatch(network: &Network, flow: &PowerFlow, load: &Array1<f64>, load_q: &Array1<f64>) -> f64 {
    let base = network.base_mva();
    let voltage: Vec<Complex> = flow
        .buses
        .iter()
        .map(|bus| Complex::polar(bus.v_pu, bus.angle_deg))
        .collect();
    let mut left: Vec<Complex> = (0..voltage.len())
        .map(|bus| {
            let data = &network.buses()[bus];
            let v = flow.buses[bus].v_pu;
            Complex::new(
                (-load[bus] - data.shunt_mw * v * v) / base,
                (-load_q[bus] + data.shunt_mvar * v * v) / base,
            )
        })
        .collect();
    for (generator, output) in network.generators().iter().zip(&flow.generators) {
        let bus = network.bus_index(generator.bus).expect("a bus");
        left[bus] = left[bus].plus(Complex::new(output.p_mw / base, output.q_mvar / base));
    }
    let mut worst = 0.0_f64;
    for (branch, reported) in network.branches().iter().zip(&flow.branches) {
        let (f, t) = (
            network.bus_index(branch.from).expect("a bus"),
            network.bus_index(branch.to).expect("a bus"),
        );
        // The pi model behind an ideal transformer at the from bus.
        let behind = voltage[f].over(Complex::polar(branch.ratio, branch.shift_deg));
        let impedance = Complex::new(branch.r_pu, branch.x_pu);
        let series = behind.minus(voltage[t]).over(impedance);
        let half = Complex::new(0.0, 0.5 * branch.b_pu);
        let into_from = behind.times(series.plus(half.times(behind)).conjugate());
        let into_to = voltage[t].times(half.times(voltage[t]).minus(series).conjugate());
        for (bus, power, (p, q)) in [
            (f, into_from, (reported.p_from_mw, reported.q_from_mvar)),
            (t, into_to, (reported.p_to_mw, reported.q_to_mvar)),
        ] {
            left[bus] = left[bus].minus(power);
            worst = worst
                .max((power.re - p / base).abs())
                .max((power.im - q / base).abs());
        }
    }
    left.iter().fold(worst, |worst, rest| {
        worst.max(rest.re.abs()).max(rest.im.abs())
    })
}

fn relax(network: &Network) -> Result<Relaxation, Error> {
    let (load, load_q) = network.loads();
    let solver = Clarabel::default();
    let (options, exactness) = (Options::default(), ExactnessOptions::default());
    network.relax(load.view(), load_q.view(), &solver, &options, &exactness)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Reported voltages, angles, flows and generation obey Kirchhoff's laws and Ohm's law, taps and shunts included.
    #[test]
    fn power_balances_at_every_bus(case in case()) {
        let network = Network::new(case).expect("drawn radial");
        let flow = network.power_flow().expect("lightly loaded");
        let (load, load_q) = network.loads();
        let off = mismatch(&network, &flow, &load, &load_q);
        prop_assert!(off <= 1e-11, "mismatch {off:e}");
        // What is generated is drawn, lost, or goes into shunts.
        let shunts: f64 = network.buses().iter().zip(&flow.buses)
            .map(|(bus, state)| bus.shunt_mw * state.v_pu * state.v_pu).sum();
        let balance = flow.generation().0 - load.sum() - shunts - flow.loss_kw / 1e3;
        prop_assert!(balance.abs() <= 1e-11 * network.base_mva(), "{balance:e}");
    }

    /// The same where a generator in the feeder holds its voltage.
    #[test]
    fn held_voltages_are_held(mut case in case(), voltage in 0.98..1.02_f64) {
        hold_last(&mut case, voltage);
        let network = Network::new(case).expect("drawn radial");
        let Ok(flow) = network.power_flow() else {
            return Err(TestCaseError::reject("the set point is out of reach"));
        };
        let (load, load_q) = network.loads();
        let off = mismatch(&network, &flow, &load, &load_q);
        // Angles cost digits where a small impedance meets a large reactive flow.
        prop_assert!(off <= 1e-9, "mismatch {off:e}");
        let last = network.buses().len() - 1;
        if network.buses()[last].kind == BusKind::Voltage {
            prop_assert!((flow.buses[last].v_pu - voltage).abs() < 1e-12);
        }
    }

    /// Gradients of losses, cost and a voltage against central differences at one bus.
    #[test]
    fn adjoint_is_the_derivative(
        mut case in case(), hold in any::<bool>(), at in any::<prop::sample::Index>(), of in any::<prop::sample::Index>(),
    ) {
        if hold {
            hold_last(&mut case, 1.0);
        }
        let network = Network::new(case).expect("drawn radial");
        let Ok(flow) = network.power_flow() else {
            return Err(TestCaseError::reject("the set point is out of reach"));
        };
        let (load, load_q) = network.loads();
        let (at, of) = (at.index(load.len()), of.index(load.len()));
        let step = 1e-5 * network.base_mva();
        let options = FlowOptions::default();
        let solve = |change: f64, change_q: f64| {
            let (mut p, mut q) = (load.clone(), load_q.clone());
            p[at] += change;
            q[at] += change_q;
            PowerFlow::solve(&network, p.view(), q.view(), &options).expect("close to a solution")
        };
        let sides = [[solve(step, 0.0), solve(-step, 0.0)], [solve(0.0, step), solve(0.0, -step)]];
        let slope = |axis: usize, quantity: &dyn Fn(&PowerFlow) -> f64| {
            (quantity(&sides[axis][0]) - quantity(&sides[axis][1])) / (2.0 * step)
        };
        let cost = |flow: &PowerFlow| flow.cost_per_hour().expect("all generators have costs");
        let gradients = [
            ("loss", flow.loss_gradient(), [slope(0, &|f| f.loss_kw / 1e3), slope(1, &|f| f.loss_kw / 1e3)], 1.0),
            ("cost", flow.cost_gradient().expect("costs"), [slope(0, &cost), slope(1, &cost)], 30.0),
            (
                "voltage",
                flow.voltage_gradient(of).expect("connected"),
                [slope(0, &|f| f.buses[of].v_pu), slope(1, &|f| f.buses[of].v_pu)],
                1.0 / network.base_mva(),
            ),
        ];
        for (name, gradient, differences, unit) in gradients {
            for (found, difference) in [gradient.by_mw[at], gradient.by_mvar[at]].into_iter().zip(differences) {
                prop_assert!(
                    (found - difference).abs() <= 1e-6 * unit,
                    "{name} by the load at {at}: {found} against {difference}"
                );
            }
        }
    }

    /// A row of a batch has, bit by bit, the answer that it has alone.
    #[test]
    fn batch_is_single(case in case(), factors in prop::collection::vec(-0.5..1.5_f64, 1..20)) {
        let network = Network::new(case).expect("drawn radial");
        let (load, load_q) = network.loads();
        let rows = |load: &Array1<f64>| {
            Array2::from_shape_fn((factors.len(), load.len()), |(row, bus)| factors[row] * load[bus])
        };
        let (p, q) = (rows(&load), rows(&load_q));
        let options = FlowOptions::default();
        let batch = BatchFlow::solve(&network, p.view(), q.view(), &options).expect("lightly loaded");
        let (v, i_sq, loss) = (batch.v_pu(), batch.i_sq(), batch.loss_kw());
        let (cost, cost_slope) = (batch.cost_per_hour().expect("costs"), batch.cost_gradient().expect("costs"));
        let (loss_slope, v_slope) = (batch.loss_gradient(), batch.voltage_gradient(0).expect("connected"));
        for row in 0..batch.len() {
            let (p, q) = (p.index_axis(Axis(0), row), q.index_axis(Axis(0), row));
            let alone = PowerFlow::solve(&network, p, q, &options).expect("lightly loaded");
            for bus in 0..load.len() {
                prop_assert_eq!(v[[row, bus]], alone.buses[bus].v_pu);
                let alone = alone.cost_gradient().expect("costs");
                prop_assert_eq!(cost_slope.by_mw[[row, bus]], alone.by_mw[bus]);
                prop_assert_eq!(cost_slope.by_mvar[[row, bus]], alone.by_mvar[bus]);
            }
            prop_assert_eq!(loss_slope.by_mw.row(row).to_owned(), alone.loss_gradient().by_mw);
            prop_assert_eq!(v_slope.by_mw.row(row).to_owned(), alone.voltage_gradient(0).expect("connected").by_mw);
            prop_assert_eq!(cost[row], alone.cost_per_hour().expect("costs"));
            for (branch, state) in alone.branches.iter().enumerate() {
                prop_assert_eq!(i_sq[[row, branch]].sqrt(), state.i_pu);
            }
            prop_assert!((loss[row] - alone.loss_kw).abs() <= 1e-12 * loss[row].abs().max(1e-9));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Without limits that bind, the relaxation is bounded by the power flow from above; when it says exact, it is the
    /// power flow.
    #[test]
    fn relaxation_is_a_bound(case in case()) {
        let network = Network::new(case).expect("drawn radial");
        let cost = network.power_flow().expect("lightly loaded").cost_per_hour().expect("costs");
        let answer = relax(&network).expect("the relaxation is answered");
        let bound = answer.lower_bound().expect("the power flow is feasible");
        prop_assert!(bound <= cost + 1e-6 * cost.abs().max(1.0), "bound {bound}, cost {cost}");
        if let Some(optimum) = answer.exact() {
            prop_assert!((optimum.cost_per_hour - cost).abs() <= 1e-9 * cost.abs().max(1.0));
        }
    }

    /// With an upper voltage limit below what the power flow has, nothing is reported as solved.
    #[test]
    fn a_limit_that_the_only_flow_breaks_is_never_solved(case in case(), below in 0.0005..0.01_f64) {
        let network = Network::new(case).expect("drawn radial");
        let flow = network.power_flow().expect("lightly loaded");
        let mut case = network.case().clone();
        let highest = (0..case.buses.len())
            .filter(|&bus| case.buses[bus].kind == BusKind::Load)
            .max_by(|&a, &b| flow.buses[a].v_pu.total_cmp(&flow.buses[b].v_pu));
        let Some(highest) = highest else {
            return Err(TestCaseError::reject("only sources"));
        };
        case.buses[highest].v_max_pu = flow.buses[highest].v_pu - below;
        match relax(&Network::new(case).expect("still radial")) {
            Ok(answer) => prop_assert!(answer.exact().is_none(), "{answer:?}"),
            // Without resistance, burning current is free and the relaxation may have no well-defined answer.
            Err(Error::Solver(evflex_solver::Error::Stopped { .. })) => {}
            Err(error) => prop_assert!(false, "{error}"),
        }
    }
}
