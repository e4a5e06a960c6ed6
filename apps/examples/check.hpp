#pragma once

#include <string>

#include "errc.hpp"

namespace troupe::apps {

/// The examples check their own results: a wrong one is an error of the run.
inline void expect(bool right, const std::string& what) {
  if (!right) throw Error(Errc::wrong_result, "the example's own check failed: " + what);
}

/// What the example was asked for makes no sense.
inline void require(bool sensible, const std::string& what, const std::string& hint) {
  if (!sensible) throw Error(Errc::bad_parameter, what, hint);
}

}  // namespace troupe::apps
