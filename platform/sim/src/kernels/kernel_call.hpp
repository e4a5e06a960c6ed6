#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "common.hpp"
#include "kernels/core_board.hpp"
#include "kernels/flag_waits.hpp"
#include "kernels/pipes.hpp"
#include "memory/memory.hpp"
#include "runs/runs.hpp"
#include "threads/threads.hpp"
#include "troupe/runtime/kernel_abi.hpp"

namespace troupe::platform::sim {

/// The code of one kernel, from a module or foreign. Borrowed from the callables that the run keeps.
struct KernelCode {
  const troupe_callable_v1* descriptor = nullptr;
  const LoadedCode* foreign = nullptr;  ///< a ForeignKernel
  const char* name = "";
};

/// One call of a kernel: its arguments and its place.
struct KernelCall {
  KernelCode code;
  std::int64_t* words = nullptr;  ///< 50; the two context words are filled in
  std::uint32_t tensors = 0, scalars = 0;
  const std::uint8_t* scalar_kinds = nullptr;  ///< one for each, enum troupe_scalar_kind
  std::uint32_t block = 0, blocks = 1;
  std::uint32_t sub_block = 0;
  std::uint32_t core = 0, cluster = 0;
  std::uint64_t task = 0;  ///< its number, for foreign kernels
  /// What a foreign kernel started and did not wait for is added here; its task has ended when all holds.
  std::vector<FlagCondition>* deferred = nullptr;
};

/// What all kernels of one run share: how they wait, and what ends them.
class KernelHost {
 public:
  KernelHost(HostServices& host, DeviceMemory& memory, WindowSet& windows, Run& run)
      : host_(host), memory_(memory), windows_(windows), run_(run) {}
  virtual ~KernelHost() = default;
  KernelHost(const KernelHost&) = delete;
  KernelHost& operator=(const KernelHost&) = delete;

  /// Ends every wait of this run's kernels; `run.aborted` is set.
  void interrupt() noexcept;
  HostServices& host() noexcept { return host_; }
  Run& run() noexcept { return run_; }
  FlagWaits& flags() noexcept { return flags_; }

  /// Ends every wait as a deadlock. `before_program`: what could raise a flag is the run's own program, which
  /// only goes on when the kernel on its thread has ended.
  void end_waits(bool before_program) noexcept;

  /// Waits for a flag on the calling thread: a troupe_outcome, and with any but DONE why.
  std::int32_t wait(CoreSlot& core, const KernelCall& call, FlagCondition condition,
                    std::optional<Error>& why);
  void notify(void* flag, std::uint32_t type, std::uint32_t operation, std::uint64_t value) noexcept;

 protected:
  /// The kernel on `core` is about to sleep: for another kernel of this run (`local`), or for the host or a
  /// peer chip.
  virtual void about_to_park(CoreSlot& core, bool local) = 0;

 private:
  FlagPlace place_of(const KernelCall& call, const void* flag) const;
  template <class T>
  std::int32_t wait_in_window(comm::DomainMember& domain, const FlagCondition& condition,
                              std::optional<Error>& why);
  Error deadlock(const FlagCondition& condition) const;
  static Error given_up(const FlagCondition& condition);
  bool is_left_alone(std::uint64_t address) const;

  HostServices& host_;
  DeviceMemory& memory_;
  WindowSet& windows_;
  Run& run_;
  FlagWaits flags_;
  std::atomic<bool> before_program_{false};
  std::mutex mutex_;
  std::vector<std::shared_ptr<comm::DomainMember>>
      waiting_in_;  ///< domains that a kernel of this run waits in
};

/// Waits until all of `conditions` hold, which `call` has deferred. Nothing: they do.
std::optional<Error> await_deferred(KernelHost& host, CoreSlot& core, const KernelCall& call,
                                    const std::vector<FlagCondition>& conditions) noexcept;

/// Runs it on the calling thread. Nothing: it succeeded. An error names the kernel.
std::optional<Error> call_kernel(KernelHost& host, CoreSlot& core, Pipes& pipes,
                                 const KernelCall& call) noexcept;

}  // namespace troupe::platform::sim
