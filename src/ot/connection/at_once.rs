//! A future that isn't waited for.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

/// What `future` comes to without waiting.
pub(super) async fn at_once<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
    poll_fn(|context| {
        Poll::Ready(match future.as_mut().poll(context) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}
