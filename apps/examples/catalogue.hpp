#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace troupe::apps {

/// A parameter of a program, in the order of its scalar parameters.
struct Parameter {
  std::string_view name;
  std::optional<std::string_view> value;  ///< default
  std::string_view meaning;
};

/// A built-in example: a program of the module `libtroupe_examples.so` with what the command must know to
/// start it. A test holds it against the module.
struct Example {
  std::string_view name;
  std::string_view summary;
  int chips = 1;  ///< per node, unless --chips says otherwise
  int nodes = 0;  ///< 0: an ordinary node; else a pod of so many nodes
  std::vector<Parameter> parameters = {};
};

/// A kernel of `troupe::collectives()`. A test holds it against the module.
struct ShippedKernel {
  std::string_view name, summary;
  std::string_view tensors, scalars;  ///< what it takes, each in its order
};
[[nodiscard]] std::span<const ShippedKernel> shipped_kernels();

[[nodiscard]] std::span<const Example> examples();
[[nodiscard]] const Example* find_example(std::string_view name);

}  // namespace troupe::apps
