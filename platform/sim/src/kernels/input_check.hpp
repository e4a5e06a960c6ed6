#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "troupe/runtime/error.hpp"
#include "troupe/runtime/kernel_abi.hpp"
#include "troupe/runtime/task_args.hpp"

namespace troupe::platform::sim {

/// On a checked chip: whether a kernel left alone what it got as `in`. One call; who uses it sees to it that
/// nobody else writes while it looks.
class InputCheck {
 public:
  /// Notes the inputs. Left out is what the same call may write too (aliases), and every `shared(i)`: memory
  /// that others may write while the kernel runs. The descriptors stay where they are until `end`.
  template <class Shared>
  void begin(const runtime::TensorDescriptor* tensors, const runtime::Tag* tags, std::uint32_t count,
             Shared shared) {
    inputs_.clear();
    for (std::uint32_t i = 0; i < count; ++i) {
      if (tags[i] != runtime::Tag::in || tensors[i].extent == 0) continue;
      if (!aliased(tensors, tags, count, i) && !shared(i))
        inputs_.push_back({&tensors[i], i, digest(tensors[i])});
    }
  }
  /// The first input that is no longer what it was, as an error of `kernel`.
  template <class Shared>
  std::optional<Error> end(const char* kernel, Shared shared) const {
    for (const Input& input : inputs_) {
      if (!shared(input.index) && digest(*input.tensor) != input.digest) return changed(kernel, input.index);
    }
    return std::nullopt;
  }

 private:
  struct Input {
    const runtime::TensorDescriptor* tensor;
    std::uint32_t index;
    std::uint64_t digest;
  };
  static bool aliased(const runtime::TensorDescriptor* tensors, const runtime::Tag* tags, std::uint32_t count,
                      std::uint32_t which) noexcept;
  static std::uint64_t digest(const runtime::TensorDescriptor& tensor) noexcept;
  static Error changed(const char* kernel, std::uint32_t index);

  std::vector<Input> inputs_;
};

}  // namespace troupe::platform::sim
