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
/// of its own (its globals are not shared with another load of the same bytes) and is unloaded with this
/// object. Nothing is written to the file system. Such kernels find the simulator's two hooks as global
/// symbols, or take them from `pto_sim_register_hooks` when they export it.
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
  int file_ = -1;
  void* library_ = nullptr;
  Entry entry_ = nullptr;
};

}  // namespace troupe::platform::sim
