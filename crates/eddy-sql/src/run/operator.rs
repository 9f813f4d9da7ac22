//! What operators have in common.

use super::Chunk;
use super::errors::Errors;
use crate::error::RunError;

/// One step of a plan. It holds what it must of rows that have passed, and takes part in snapshots.
pub(crate) trait Operator: Send + std::fmt::Debug {
    /// Takes the rows of one batch, one chunk an input, all with the same number of ticks.
    fn process(&mut self, inputs: Vec<Chunk>, errors: &mut Errors<'_>) -> Result<Chunk, RunError>;

    /// Its state; empty where it has none. (An accumulator gives its state away and gets it back,
    /// so this needs `&mut`.)
    fn save(&mut self) -> Result<Vec<u8>, RunError> {
        Ok(Vec::new())
    }

    /// The earliest time that lets something go that is held here, as far as the time reaches this
    /// operator; `i64::MAX` where nothing waits for time alone.
    fn due_ms(&self) -> i64 {
        i64::MAX
    }

    /// Takes a state that was saved by an operator of the same plan.
    fn restore(&mut self, state: &[u8]) -> Result<(), RunError> {
        if state.is_empty() {
            return Ok(());
        }
        Err(RunError::Snapshot { reason: "state for an operator that has none".to_owned() })
    }
}

/// A tree of operators over the streams of the application.
#[derive(Debug)]
pub(crate) enum Node {
    /// The rows of a stream, by its index.
    Stream(usize),
    /// An operator over others.
    Apply(Box<dyn Operator>, Vec<Node>),
}

impl Node {
    pub(crate) fn apply(operator: impl Operator + 'static, input: Self) -> Self {
        Self::Apply(Box::new(operator), vec![input])
    }

    pub(crate) fn run(
        &mut self,
        streams: &[Chunk],
        errors: &mut Errors<'_>,
    ) -> Result<Chunk, RunError> {
        match self {
            Self::Stream(stream_idx) => Ok(streams[*stream_idx].clone()),
            Self::Apply(operator, inputs) => {
                let inputs = inputs
                    .iter_mut()
                    .map(|input| input.run(streams, errors))
                    .collect::<Result<_, _>>()?;
                errors.operator_idx += 1;
                operator.process(inputs, errors)
            }
        }
    }

    /// The operators, inputs first.
    pub(crate) fn visit(
        &mut self,
        each: &mut dyn FnMut(&mut dyn Operator) -> Result<(), RunError>,
    ) -> Result<(), RunError> {
        if let Self::Apply(operator, inputs) = self {
            for input in inputs {
                input.visit(each)?;
            }
            each(operator.as_mut())?;
        }
        Ok(())
    }

    /// The earliest time that any operator waits for.
    pub(crate) fn due_ms(&self) -> i64 {
        match self {
            Self::Stream(_) => i64::MAX,
            Self::Apply(operator, inputs) => {
                inputs.iter().map(Self::due_ms).fold(operator.due_ms(), i64::min)
            }
        }
    }

    /// The streams that it reads.
    pub(crate) fn streams(&self, into: &mut Vec<usize>) {
        match self {
            Self::Stream(stream_idx) => into.push(*stream_idx),
            Self::Apply(_, inputs) => inputs.iter().for_each(|input| input.streams(into)),
        }
    }
}
