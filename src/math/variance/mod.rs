//! How much of what vectors vary by goes with the input, the task, the wording, and with input and
//! task together.
//!
//! One vector `V_ikw` for each input i, task k and wording w of it. Inputs are crossed with wordings,
//! wordings are nested in tasks: N inputs, K tasks, `W_k` wordings of task k, M = Σ `W_k`. The model is
//! `V_ikw = μ + a_i + b_k + c_kw + (ab)_ik + (ac)_ikw`; dots are means in which every vector counts
//! once:
//!
//! ```text
//! SS_input   = M Σ_i         ‖V_i·· - V···‖²
//! SS_task    = N Σ_k  W_k    ‖V_·k· - V···‖²
//! SS_wording = N Σ_kw        ‖V_·kw - V_·k·‖²                        where some W_k >= 2
//! SS_inter   =   Σ_ik W_k    ‖V_ik· - V_i·· - V_·k· + V···‖²
//! SS_rest    =   Σ_ikw       ‖V_ikw - V_ik· - V_·kw + V_·k·‖²        where some W_k >= 2
//! SS_total   =   Σ_ikw       ‖V_ikw - V···‖² = their sum
//! ```
//!
//! They add up whatever the `W_k` are: every input has every wording, so inputs are orthogonal to
//! tasks and wordings, and wordings are nested, so there is only one way to split what is between
//! them (sums of squares of types I, II and III agree). With equal `W_k` they are the balanced ones.
//!
//! A multivariate analysis of variance on distances (Anderson 2001), the marginalisation of demixed
//! PCA (Kobak et al. 2016). The model is deterministic, so `SS_inter` is interaction and not noise:
//! the input rearranged by the task. With one wording it and `SS_task` contain that wording.
//!
//! # Inputs of several units
//!
//! An input may be several aligned units: its tokens. Then the unit (input i, token s of `T_i`) takes
//! the place of the input in all formulas, with U = Σ `T_i` for N. What is needed of an input is less
//! than its tokens: the means over them, and what the tokens vary by around those means,
//!
//! ```text
//! V_iskw = V̄_ikw + x_iskw                                    Σ_s x_iskw = 0
//! SS_input   = M   Σ_i  T_i     ‖V̄_i·· - V···‖²  +  Σ_is  M   ‖x_is··‖²
//! SS_task    = U   Σ_k  W_k     ‖V_·k· - V···‖²               V_·kw = Σ_i T_i V̄_ikw / U
//! SS_inter   =     Σ_ik T_i W_k ‖V̄_ik· - V̄_i·· - V_·k· + V···‖²
//!                                                 +  Σ_isk W_k ‖x_isk· - x_is··‖²
//! SS_rest    likewise                             +  Σ_iskw    ‖x_iskw - x_isk·‖²
//! ```
//!
//! so that an input is summed up by one vector a wording and three of squares ([`within_units`]), and
//! no sum is the small difference of two large ones. The three are what a mean over tokens hides:
//! a task that moves each token another way shows in them and nowhere else.
//!
//! # The task against its wordings
//!
//! Under the null hypothesis that tasks are but names for some of the wordings, the M mean vectors
//! `V_·kw` are exchangeable. `f_task = [SS_task/(K-1)] / [SS_wording/(M-K)]` compares them; both mean
//! squares then estimate the same spread of wordings whatever the `W_k` are, so its degrees of
//! freedom are K-1 and M-K, and nothing needs to be approximated (Satterthwaite's degrees or the
//! harmonic mean of the `W_k` would be needed for another error term than the wordings). It is a
//! pseudo-F of many dimensions, so its p is not that of an F distribution: [`Spread::wording_tests`]
//! deals the wordings out to the tasks again, the same way for all inputs, by the ways of
//! [`Reassignments`](super::Reassignments). The statistic is `SS_task / (SS_task + SS_wording)`, which
//! rises with F, and whose sum is the same for every way. Where one task's wordings differ among
//! themselves far more than another's *and* their numbers differ, the test may be too bold or too
//! timid, as every F.
//!
//! # What the test within inputs exchanges
//!
//! [`Spread::task_tests`] averages over wordings, takes each input's own mean of the tasks off, and
//! exchanges the K task labels within each input, each input by itself (with all its units) or each
//! cluster of inputs that are one piece of evidence ([`Spread::clustered`]). Under the
//! null hypothesis that a task's vector is, given the input, a draw from one and the same distribution
//! for every task, all these labellings are equally likely. The statistic is the share
//! `SS_task / (SS_task + SS_inter)` (partial η²), which rises with the blocked F; their sum is the same
//! for every labelling, so only sums over inputs are needed. Where the `W_k` differ, each task's mean
//! counts once here, so that a label may be given to any of them, and what is within units counts K/M
//! times; the statistic then is not quite [`Partition::partial_eta2`].
//!
//! It asks whether these prompts move the vector the same way on every input. A single wording does
//! so too, for any two different texts do; with more the means over them still carry them. Only
//! `f_task` and the dealing of wordings speak about tasks.

mod cells;
mod partition;
mod relabel;
mod spread;
mod within;

pub use cells::{CentredCells, Units};
pub use partition::{Design, Partition};
pub use relabel::Relabellings;
pub use spread::Spread;
pub use within::within_units;

#[cfg(test)]
mod tests;
