#include "kernels/deferred.hpp"

#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

#include "common.hpp"
#include "memory/memory.hpp"

namespace troupe::platform::sim {

namespace {

using runtime::DeferredCompletion;

// The address comes from a kernel, and is to be looked at long after: one that faults now would always.
bool is_mapped(std::uint64_t address, std::size_t size) noexcept {
  std::uint64_t word = 0;
  const iovec to{&word, size}, from{pointer(address), size};
  return process_vm_readv(getpid(), &to, 1, &from, 1, 0) == static_cast<ssize_t>(size) || errno != EFAULT;
}

std::string defect_of(const DeferredCompletion& entry) {
  if (entry.type == DeferredCompletion::event_handle)
    return "it is an event of a remote memory engine, which no simulated chip has";
  if (entry.type != DeferredCompletion::counter && entry.type != DeferredCompletion::event_record)
    return "completion type " + std::to_string(entry.type) + " does not exist";
  if (entry.engine >= DeferredCompletion::engines)
    return "engine " + std::to_string(entry.engine) + " does not exist";
  const bool counts = entry.type == DeferredCompletion::counter;
  const std::size_t size = counts ? sizeof(std::uint32_t) : sizeof(std::uint64_t);
  if (entry.address == 0) return "its address is null";
  if (!counts && entry.cookie == 0) return "its event was never recorded";
  if (entry.address % size != 0) return "its address is not aligned";
  if (!is_mapped(entry.address, size)) return "nothing is at its address";
  return "";
}

}  // namespace

Error deferred_error(const Run& run, std::int32_t number, Errc usual, const std::string& what,
                     const std::string& hint) {
  const bool numbered = run.callable->foreign != nullptr && run.callable->is_program();
  if (!numbered) return Error(usual, what, hint);
  const std::string_view name = number == 101   ? "async_completion_invalid"
                                : number == 102 ? "async_wait_overflow"
                                : number == 103 ? "async_registration_failed"
                                                : "noted_by_kernel";
  return Error(ErrorCode{number, name}, what + " (" + std::string(name) + ")", hint);
}

std::string take_deferred(const runtime::DeferredCompletions& started, std::vector<FlagCondition>& conditions,
                          std::int32_t& number) {
  constexpr std::uint32_t most = runtime::limits::deferred_completions;
  constexpr auto too_many = static_cast<std::int32_t>(DeferredDefect::too_many);
  number = started.error_code;
  if (started.error_code == too_many) return "one call has room for " + std::to_string(most);
  if (started.error_code != 0) return "it noted error " + std::to_string(started.error_code);
  number = static_cast<std::int32_t>(DeferredDefect::unregistered);
  if (started.count > most) return "one call has room for " + std::to_string(most);
  number = static_cast<std::int32_t>(DeferredDefect::invalid);
  for (std::uint32_t i = 0; i < started.count; ++i) {
    if (const auto wrong = defect_of(started.entries[i]); !wrong.empty())
      return "number " + std::to_string(i) + " of " + std::to_string(started.count) + ": " + wrong;
  }
  for (std::uint32_t i = 0; i < started.count; ++i) {
    const auto& entry = started.entries[i];
    FlagCondition condition;
    condition.type = flag_u32;
    condition.flag = pointer(entry.address);
    condition.compare = TROUPE_GREATER_EQUAL;
    if (entry.type == DeferredCompletion::event_record) condition.type = TROUPE_FLAG_U64;
    condition.value = condition.type == flag_u32 ? entry.expected : entry.cookie;
    condition.deferred = true;
    conditions.push_back(condition);
  }
  return "";
}

}  // namespace troupe::platform::sim
