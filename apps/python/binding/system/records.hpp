#pragma once

// What a System records, for who looks at it from Python. Inside Python only.

#include <memory>

#include "border/errors.hpp"
#include "troupe/actors/trace_sink.hpp"

namespace troupe::python {

/// A trace that begins now.
struct TraceOf {
  TraceOf();
  std::shared_ptr<actors::TraceSink> sink;
};

}  // namespace troupe::python
