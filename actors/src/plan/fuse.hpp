#pragma once

#include <cstdint>
#include <vector>

#include "plan/compile.hpp"

namespace troupe::actors {

/// What is known of a recording before its steps are made.
struct Analysed {
  const Recording& recording;
  const PlanImage& image;
  const std::vector<std::vector<PlanRoot>>& roots;           ///< of each task, argument by argument
  const std::vector<std::vector<std::uint32_t>>& producers;  ///< of each task: sorted
};

/// The steps of a plan, in an order that keeps what the program meant. Tasks that run on one chip become one
/// step, as long as what is between them does not have to run elsewhere.
std::vector<PlanStep> fuse(const Analysed& of);

/// Fills in a bundle of these tasks and the arguments that they have together. `local[i]`: intermediate i is
/// used by them alone. False: they have more arguments, or need more memory, than one task may.
bool make_bundle(const Analysed& of, const std::vector<std::uint32_t>& tasks, const std::vector<bool>& local,
                 Bundle& bundle, PlanStep& step);

}  // namespace troupe::actors
