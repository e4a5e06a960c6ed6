#pragma once

#include <memory>
#include <utility>

#include "code/code.hpp"
#include "driver/driver.hpp"

namespace troupe::platform::queued {

using namespace common;

/// A program that the driver holds, as long as one of its kernels is registered.
class LoadedProgram {
 public:
  LoadedProgram(Driver& driver, Program program) : driver_(driver), program_(program) {}
  ~LoadedProgram() { driver_.unload(program_); }
  LoadedProgram(const LoadedProgram&) = delete;
  LoadedProgram& operator=(const LoadedProgram&) = delete;
  Program get() const noexcept { return program_; }

 private:
  Driver& driver_;
  const Program program_;
};

/// A kernel that can be launched.
class DeviceKernel final : public LoadedCode {
 public:
  /// `guarded`: it looks at its producers and says how it ended, as those of device_kernel.hpp do.
  DeviceKernel(Driver& driver, std::shared_ptr<LoadedProgram> program, Function function, bool guarded)
      : driver_(driver), program_(std::move(program)), function_(function), guarded_(guarded) {}
  ~DeviceKernel() override { driver_.forget(function_); }
  DeviceKernel(const DeviceKernel&) = delete;
  DeviceKernel& operator=(const DeviceKernel&) = delete;

  Function function() const noexcept { return function_; }
  bool is_guarded() const noexcept { return guarded_; }

 private:
  Driver& driver_;
  std::shared_ptr<LoadedProgram> program_;
  const Function function_;
  const bool guarded_;
};

}  // namespace troupe::platform::queued
