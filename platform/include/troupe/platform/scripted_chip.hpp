#pragma once

// A chip without hardware, threads or time of its own, for tests: kernels are lambdas, failures are values,
// and everything happens when the host (a ManualHost, say) takes the next step. It fills the same DeviceApi
// as a platform library, checks arguments as strictly, and passes the conformance suite. A ScriptedChip
// shares its script with its contexts. Any thread may use it; kernels are called on the thread that steps.
// Errors: inject() throws invalid_argument; a kernel fails its run by throwing.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "troupe/platform/device_api.hpp"
#include "troupe/platform/errc.hpp"
#include "troupe/runtime/export.hpp"
#include "troupe/runtime/kernel.hpp"

namespace troupe::platform {

/// A scripted kernel's view of its run. Valid during the call; the call's thread only.
class TROUPE_API ScriptedCall {
 public:
  [[nodiscard]] std::string_view name() const noexcept;
  [[nodiscard]] std::uint64_t correlation() const noexcept;
  [[nodiscard]] std::int32_t device() const noexcept;
  /// Which run of its context this is, from 1.
  [[nodiscard]] std::uint64_t ordinal() const noexcept;
  [[nodiscard]] const troupe_run& run() const noexcept;
  /// The script's clock.
  [[nodiscard]] std::uint64_t now() const noexcept;

  [[nodiscard]] std::size_t tensor_count() const noexcept;
  [[nodiscard]] std::size_t scalar_count() const noexcept;
  /// Elements in device memory: of host tensors the platform's copy, written back on success as tagged.
  /// Throws for a wrong index or element type.
  template <runtime::Element T>
  [[nodiscard]] runtime::TensorView<T> tensor(std::size_t i) const {
    const auto& d = descriptor(i, static_cast<std::uint32_t>(runtime::dtype_of<T>));
    return {reinterpret_cast<T*>(static_cast<std::uintptr_t>(d.address)) + d.start_offset, d};
  }
  template <runtime::Scalar T>
  [[nodiscard]] T scalar(std::size_t i) const {
    return runtime::read_scalar<T>(scalar_given(i), i);
  }

  /// The run ends this much later (virtual busy time); effects of the lambda are in place at once.
  void takes(std::uint64_t ns) noexcept;
  /// The run then waits, as a kernel waits for a peer: until it is aborted, or a window of its context is.
  void waits() noexcept;
  /// The run then hangs, as a kernel that never returns: abort does not end it, `ScriptedChip::release_hung`
  /// does. Destroying its context answers BUSY.
  void hangs() noexcept;

 private:
  friend struct ScriptedCallAccess;
  struct State;
  explicit ScriptedCall(State& state) noexcept : state_(&state) {}
  const runtime::TensorDescriptor& descriptor(std::size_t i, std::uint32_t dtype) const;
  runtime::ScalarArg scalar_given(std::size_t i) const;
  State* state_;
};

/// Fails its run by throwing: a troupe::Error keeps its code, anything else is kernel_failed.
using ScriptedKernel = std::function<void(ScriptedCall&)>;

/// One thing that goes wrong, as a value. Counts per fault: the `at`-th matching run or call (from 1) on a
/// matching device fires it, `times` times in a row. Counting goes on across contexts: a restarted chip does
/// not fail again on its own.
struct ScriptedFault {
  enum class Kind : std::uint8_t {
    fail_run,     ///< ends with `code` and `text`, the kernel is not called
    lose_device,  ///< the device dies as the run starts: everything ends with LOST
    drop,         ///< the kernel runs, its completion never comes (destroy and reset still deliver ABORTED)
    delay,        ///< the completion comes `delay_ns` later
    hang,         ///< as ScriptedCall::hangs
    fail_call,    ///< the ABI function `call` answers `code` and `text`
  };
  Kind kind = Kind::fail_run;
  std::int32_t device = -1;   ///< -1: any
  std::string callable = {};  ///< empty: any
  std::uint64_t at = 1;
  std::uint64_t times = 1;
  std::int32_t code = TROUPE_DEVICE_KERNEL_FAILED;
  std::string text = "injected fault";
  std::uint64_t delay_ns = 0;
  std::string call = {};  ///< fail_call: "set_device", "device_malloc_ctx", "create_device_context", …
};

struct ScriptedChipOptions {
  std::string architecture = "scripted";
  std::uint32_t device_count = 1024;
  std::uint32_t clusters = 24;
  std::uint64_t memory_bytes = std::uint64_t{256} << 20;
  std::uint32_t queue_depth = 1024;
  std::uint32_t completions_per_step = 1;  ///< how many runs end before the host gets another turn
  bool manual = false;  ///< true: nothing is posted to the host; runs go on in ScriptedChip::step
  bool record = true;   ///< keep `history`
};

/// One run that ended.
struct ScriptedEvent {
  std::int32_t device = -1;
  std::uint64_t correlation = 0;
  std::string callable;
  std::uint64_t started_ns = 0, finished_ns = 0;
  std::int32_t code = 0;
};

/// A script and the platform made from it. A cheap shared handle; contexts keep the script alive.
/// Thread-safe. Scripts and faults may be added at any time; contexts of one script share nothing but it.
class TROUPE_API ScriptedChip {
 public:
  explicit ScriptedChip(ScriptedChipOptions options = {});

  /// The body of a callable of this name, and of "name@…", the name of an object that came with a submit. It
  /// needs no module then: `register_callable` with the name alone is enough. Kernels of modules that are not
  /// scripted run as they are, on the thread that steps, block after block; in them an unsatisfied wait is a
  /// DEADLOCK, since no other kernel can run.
  ScriptedChip& on(const std::string& callable, ScriptedKernel kernel);
  /// Throws `invalid_argument` for a fault that could never fire: at or for none, a call that there is not.
  ScriptedChip& inject(ScriptedFault fault);

  /// The platform. `api().name` is the architecture's.
  [[nodiscard]] DeviceApi api() const;

  /// Manual mode: one step of the next context that has something to do, in turn. False: none has.
  bool step();
  std::size_t run();

  /// Lets all hung kernels return: successfully, or aborted if their run was.
  void release_hung();

  /// The runs that ended, in order.
  [[nodiscard]] std::vector<ScriptedEvent> history() const;
  /// Contexts created and not destroyed.
  [[nodiscard]] std::size_t live_contexts() const;

 private:
  std::shared_ptr<struct Script> script_;
};

}  // namespace troupe::platform
