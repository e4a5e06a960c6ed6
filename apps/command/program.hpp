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
  const Example* example = nullptr;   ///< of a built-in one
  std::vector<Parameter> parameters;  ///< empty: it has none, or they have no names
  std::vector<std::uint64_t> scalars;
};

/// Finds the program that `text` names ("vector_add", "./mine.so", "./mine.so:train"). `built_in` is the
/// module of the examples. Errors list what there is instead.
[[nodiscard]] Result<ProgramChoice> find_program(const std::string& text, const runtime::Module& built_in);

/// The same, with its parameters bound to what stood behind --param.
[[nodiscard]] Result<ProgramChoice> choose_program(const std::string& text, const runtime::Module& built_in,
                                                   const std::vector<std::string>& given);

/// What TROUPE_PARAMETERS says about a program of a module that was opened from a file.
[[nodiscard]] Result<std::vector<Parameter>> parameters_of(const runtime::Module& module,
                                                           const runtime::Callable& program);

/// A file's name as the loader takes it: "mine.so" is "./mine.so".
[[nodiscard]] std::string module_path(const std::string& file);

}  // namespace troupe::apps
