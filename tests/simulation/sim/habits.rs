//! Habits of edge nodes: what libraries in the field do, the specification or not.

use super::random::Random;

/// How messages are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counting {
    /// As the specification has it.
    Full,
    /// proto3 leaves out what is 0: every 256th message has no `seq`.
    LeavesOutZero,
    /// A number that goes on over births.
    GoesOn,
    /// No `seq` at all: nobody can see what is missing.
    Never,
}

/// How data names its metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    Names,
    Aliases,
    Both,
}

/// What births and wills say of their session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BdSeq {
    Counts,
    /// Always 0, in births and wills.
    Constant,
    /// The will says 0, the birth 1 (mqtt-spb-wrapper).
    WillSaysZero,
    /// Neither says anything.
    Absent,
}

#[derive(Clone, Debug)]
pub struct Habits {
    pub counting: Counting,
    pub naming: Naming,
    pub bd_seq: BdSeq,
    /// Data repeats the datatype.
    pub types_data: bool,
    pub assures_births: bool,
    pub assures_data: bool,
    pub assures_wills: bool,
    pub devices: usize,
    pub metrics: usize,
    /// The node has a definition, and every entity an instance of it.
    pub templates: bool,
    /// Every birth gives the aliases anew.
    pub shifts_aliases: bool,
    /// A metric that no birth has.
    pub has_unborn: bool,
    /// The broker stores its wills, and its births, for whoever comes later.
    pub stores_wills: bool,
    pub stores_births: bool,
}

impl Habits {
    pub fn of(random: &mut Random) -> Habits {
        let mut more = Random::new(random.clone().next());
        let naming = random.pick(&[Naming::Names, Naming::Aliases, Naming::Aliases, Naming::Both]);
        let assures_births = random.chance(50);
        // Where QoS is mixed, messages overtake each other.
        let (assures_data, assures_wills) = (random.chance(30), random.chance(60));
        Habits {
            counting: random.weighted(&[
                (12, Counting::Full),
                (2, Counting::LeavesOutZero),
                (1, Counting::GoesOn),
                (1, Counting::Never),
            ]),
            naming,
            bd_seq: random.weighted(&[
                (8, BdSeq::Counts),
                (2, BdSeq::Constant),
                (1, BdSeq::WillSaysZero),
                (1, BdSeq::Absent),
            ]),
            types_data: random.chance(50),
            assures_births,
            assures_data,
            assures_wills,
            devices: random.below(3),
            metrics: random.between(1, 4) as usize,
            templates: random.chance(15),
            // Where a birth can be lost, what an alias means is nobody's promise.
            shifts_aliases: assures_births && naming != Naming::Names && random.chance(30),
            has_unborn: naming != Naming::Aliases && random.chance(25),
            stores_wills: more.chance(20),
            stores_births: more.chance(15),
        }
    }
}
