#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "memory.hpp"
#include "troupe/platform/device_abi.h"
#include "troupe/platform/scripted_chip.hpp"
#include "troupe/runtime/kernel_abi.hpp"

namespace troupe::platform {

struct ScriptedCallable {
  std::string name;
  std::shared_ptr<const ScriptedKernel> script;  // null: run the module's kernel
  const troupe_callable_v1* descriptor = nullptr;
};

/// The tensors of one run in device memory: checks the arguments, copies host tensors in and out. Only bytes
/// of the views are touched, in host memory too: others may be writing next to them.
class Staging {
 public:
  /// Whether [address, address + bytes) is device memory of the context.
  using Check = std::function<Result<void>(std::uint64_t address, std::uint64_t bytes)>;

  Result<void> prepare(const std::vector<troupe_tensor_arg>& tensors, const Check& check_device);
  void copy_back(const std::vector<troupe_tensor_arg>& tensors) const;
  const std::vector<runtime::TensorDescriptor>& descriptors() const { return descriptors_; }

 private:
  struct Copy {  // of the part of a host buffer that the run's views span
    std::uint64_t buffer, low, high;
    AlignedBytes memory;
  };
  std::vector<Copy> copies_;
  std::vector<runtime::TensorDescriptor> descriptors_;
};

struct ScriptedRun {
  enum class Phase : std::uint8_t { queued, executing, delayed, waiting, hung };

  std::uint64_t correlation = 0;
  std::uint64_t ordinal = 0;
  troupe_run request{};                              // its pointers go to the vectors below
  std::shared_ptr<const ScriptedCallable> callable;  // null: unknown
  std::vector<troupe_tensor_arg> tensors;
  std::vector<std::uint64_t> scalars, depends_on;
  std::vector<std::uint8_t> scalar_kinds;  ///< one for each
  std::string task;                        ///< what the host calls it
  Staging staging;

  Phase phase = Phase::queued;
  bool blocking = false;   // somebody waits in run_runtime
  bool completed = false;  // its end was told, also when its kernel is still inside
  bool drop = false;       // its completion is withheld
  bool released = false;   // a hung kernel may return
  std::atomic<bool> aborted = false;
  std::uint64_t due_ns = 0;
  troupe_completion end{};
  std::string message;
};

/// What ScriptedCall points to.
struct ScriptedCall::State {
  ScriptedRun* run = nullptr;
  std::int32_t device = -1;
  std::uint64_t now_ns = 0;
  std::uint64_t takes_ns = 0;
  bool waits = false, hangs = false;
};

/// Makes calls for contexts.
struct ScriptedCallAccess {
  static ScriptedCall make(ScriptedCall::State& state) { return ScriptedCall{state}; }
  using State = ScriptedCall::State;
};

/// Runs the kernel of `run` on this thread and tells `host` of it; the error says how it failed.
Result<void> execute(ScriptedRun& run, ScriptedCallAccess::State& state, const troupe_host& host);

}  // namespace troupe::platform
