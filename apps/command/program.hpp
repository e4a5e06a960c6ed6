#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "examples/catalogue.hpp"
#include "troupe/runtime/module.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::apps {

/// What `troupe run` is to run.
struct ProgramChoice {
  runtime::Module module;
  runtime::Callable callable;
  const Example* example = nullptr;  ///< of a built-in one
  std::vector<std::uint64_t> scalars;
};

/// Finds the program that `text` names ("vector_add", "./mine.so", "./mine.so:train") and binds its
/// parameters. `built_in` is the module of the examples. Errors list what there is instead.
[[nodiscard]] Result<ProgramChoice> choose_program(const std::string& text, const runtime::Module& built_in,
                                                   const std::vector<std::string>& parameters);

}  // namespace troupe::apps
