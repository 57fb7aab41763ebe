//! Effects: what decisions write, exactly once for each key.
//!
//! A request with a key (`Idempotency-Key`) claims it, and the claim, the statements of the effect, the event and the answer are one
//! transaction on one domain. So they are all written, or none of them is, whatever ends when. A key that is taken gives its stored
//! answer. A conflict has the decision made again on the current rows. After a lost COMMIT the key is claimed again: that waits for a
//! commit in progress, and finds the stored answer if there was one.
//!
//! Nothing here decides. Nothing else in the service opens a session that writes, except the records of decisions.

mod approvals;
mod binding;
mod keyed;
mod place;
mod retry;

pub use approvals::{Approval, Fresh, Resolution, Resolved, fresh, resolve};
pub use binding::{EffectBinding, Ending, StoredAnswer};
pub use keyed::{Keyed, KeyedRequest, Render, Wrote, decide, result_of};
