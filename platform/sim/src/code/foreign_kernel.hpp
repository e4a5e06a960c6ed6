#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "troupe/runtime/result.hpp"

namespace troupe::platform::sim {

/// A kernel object loaded from bytes: one `extern "C" void kernel_entry(int64_t* args)`. Each load is a copy
/// of its own: its globals are shared with no other load, not even those that the compiler made unique in the
/// process (inline variables, statics of inline functions and templates). It is unloaded with this object;
/// one with thread-local objects that have destructors stays mapped until the threads that ran it have ended,
/// and is never mistaken for another. Nothing is written to the file system, no descriptor is kept. Such
/// kernels find the simulator's two hooks as global symbols, or take them from `pto_sim_register_hooks` when
/// they export it.
class ForeignKernel {
 public:
  using Entry = void (*)(std::int64_t*);

  static Result<std::unique_ptr<ForeignKernel>> load(std::string_view name,
                                                     std::span<const std::byte> object);
  ForeignKernel(const ForeignKernel&) = delete;
  ForeignKernel& operator=(const ForeignKernel&) = delete;
  ~ForeignKernel();

  const std::string& name() const noexcept { return name_; }
  Entry entry() const noexcept { return entry_; }

 private:
  explicit ForeignKernel(std::string_view name) : name_(name) {}
  std::string name_;
  void* library_ = nullptr;
  Entry entry_ = nullptr;
};

}  // namespace troupe::platform::sim
