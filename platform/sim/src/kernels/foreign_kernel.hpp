#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

#include "code/code.hpp"
#include "common.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::platform::sim {

/// A kernel object loaded from bytes: one `extern "C" void kernel_entry(int64_t* args)`. Such kernels find
/// the simulator's two hooks as global symbols, or take them from `pto_sim_register_hooks` when they export
/// it.
class ForeignKernel final : public LoadedCode {
 public:
  using Entry = void (*)(std::int64_t*);

  static Result<std::unique_ptr<LoadedCode>> load(std::string_view name, std::span<const std::byte> object);
  /// Of one that is loaded already.
  static Result<std::unique_ptr<LoadedCode>> load(std::string_view name, HostObject object);
  /// Lets objects that are loaded from now on find the hooks. False: that cannot be done.
  static bool publish_hooks();
  Entry entry() const noexcept { return entry_; }

 private:
  ForeignKernel(HostObject object, Entry code) : object_(std::move(object)), entry_(code) {}
  HostObject object_;
  Entry entry_;
};

}  // namespace troupe::platform::sim
