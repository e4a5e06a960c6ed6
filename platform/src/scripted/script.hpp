#pragma once

#include <array>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "troupe/platform/scripted_chip.hpp"

namespace troupe::platform {

class ScriptedContext;

/// One communication domain among contexts of a script: who is in it, and whether it was given up.
struct ScriptedDomain {
  struct Member {
    std::weak_ptr<struct ScriptedWindowMemory> memory;
    std::weak_ptr<ScriptedContext> context;
  };
  std::mutex mutex;
  std::map<std::uint32_t, Member> members;  // by rank
  std::int32_t abort_code = 0;
  std::uint32_t abort_rank = 0;
};

/// The shared part of a scripted chip. Everything mutable is behind `mutex`, which is never held while a
/// context's lock is taken.
struct Script : std::enable_shared_from_this<Script> {
  static constexpr std::uint64_t magic_value = 0x53435249'50544544;

  const std::uint64_t magic = magic_value;  // platform_data is untyped: tells a script from anything else
  ScriptedChipOptions options;

  std::mutex mutex;
  std::map<std::string, std::shared_ptr<const ScriptedKernel>> kernels;
  struct PlannedFault {
    ScriptedFault fault;
    std::uint64_t seen = 0;
  };
  std::vector<PlannedFault> faults;
  std::vector<ScriptedEvent> history;
  std::vector<std::weak_ptr<ScriptedContext>> contexts;  // in order of creation
  std::size_t next_context = 0;                          // whose turn it is in manual mode
  std::size_t live = 0;
  using DomainKey = std::array<std::uint64_t, 3>;
  std::map<DomainKey, std::weak_ptr<ScriptedDomain>> domains;

  std::shared_ptr<const ScriptedKernel> kernel(const std::string& name);
  /// The fault that this run, or this call, meets.
  std::optional<ScriptedFault> fault_for_run(std::int32_t device, const std::string& callable);
  std::optional<ScriptedFault> fault_for_call(std::int32_t device, const char* call);
  void record(ScriptedEvent event);
  std::shared_ptr<ScriptedDomain> domain(const DomainKey& key);
  std::vector<std::shared_ptr<ScriptedContext>> living();
};

}  // namespace troupe::platform
