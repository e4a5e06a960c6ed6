#include "kernels/kernel_call.hpp"

#include <cxxabi.h>
#include <algorithm>
#include <chrono>
#include <exception>

#include "kernels/deferred.hpp"
#include "kernels/foreign_kernel.hpp"
#include "memory/memory.hpp"
#include "sim_hooks.hpp"
#include "troupe/comm/errc.hpp"
#include "troupe/comm/one_sided.hpp"
#include "troupe/platform/errc.hpp"
#include "troupe/runtime/thrown.hpp"

namespace troupe::platform::sim {

namespace {

/// The `self` of the ops that a module kernel calls.
struct Caller {
  KernelHost* host;
  CoreSlot* core;
  const KernelCall* call;
  std::optional<Error> why;
};

std::int32_t op_wait(void* self, const void* flag, std::uint32_t type, std::uint32_t compare,
                     std::uint64_t value) {
  auto& caller = *static_cast<Caller*>(self);
  return caller.host->wait(*caller.core, *caller.call, {flag, type, compare, value}, caller.why);
}

void op_notify(void* self, void* flag, std::uint32_t type, std::uint32_t operation, std::uint64_t value) {
  static_cast<Caller*>(self)->host->notify(flag, type, operation, value);
}

std::int32_t op_aborted(void* self) {
  return static_cast<Caller*>(self)->host->run().aborted.load(std::memory_order_relaxed) ? 1 : 0;
}

void op_log(void* self, std::int32_t level, const char* text) {
  auto& caller = *static_cast<Caller*>(self);
  const auto known =
      static_cast<troupe_log_level>(std::clamp<std::int32_t>(level, TROUPE_LOG_ERROR, TROUPE_LOG_DEBUG));
  caller.host->host().log(known, 0,
                          std::string(caller.call->code.name) + ": " + (text != nullptr ? text : ""));
}

constexpr troupe_kernel_ops_v1 kernel_ops{
    sizeof(troupe_kernel_ops_v1), 0, &op_wait, &op_notify, &op_aborted, &op_log};

Error kernel_error(const KernelCall& call, const std::string& what) {
  std::string where = "kernel '" + std::string(call.code.name) + "'";
  if (call.blocks > 1) {
    where += " (block " + std::to_string(call.block) + " of " + std::to_string(call.blocks) + ")";
  }
  return Error(Errc::kernel_failed, where + " failed on " + core_name(call.core) + ": " + what);
}

std::optional<Error> outcome_of(const KernelCall& call, std::int32_t outcome, const char* text,
                                const std::optional<Error>& why) {
  const std::string name = "kernel '" + std::string(call.code.name) + "'";
  switch (outcome) {
    case TROUPE_DONE:
      return std::nullopt;
    case TROUPE_ABORTED:
      return Error(Errc::aborted, name + " was aborted");
    case TROUPE_PEER_LOST:
      if (why) return Error(why->code(), name + " waited in vain: " + why->message(), why->hint());
      return Error(comm::Errc::peer_lost, name + " waited in vain");
    default:
      return kernel_error(call, text[0] != '\0' ? text : "it gave no reason");
  }
}

struct ForeignCall {
  Pipes* pipes;
  std::uint32_t cluster;

  static void* storage(void* self, std::uint64_t key, std::size_t size) {
    auto& call = *static_cast<ForeignCall*>(self);
    return call.pipes->storage(call.cluster, key, size);
  }
};

std::optional<Error> call_foreign(const Run& run, Pipes& pipes, const KernelCall& call,
                                  runtime::LocalContext& local) {
  runtime::DeferredCompletions started;
  local.async = {
      &started.count, &started.error_code, started.entries, runtime::limits::deferred_completions, 0,
      call.task};
  ForeignCall self{&pipes, call.cluster};
  const troupe_sim_core_binding binding{call.sub_block, &self, &ForeignCall::storage};
  const auto* outer = troupe_sim_bind_core(&binding);
  std::optional<Error> failure;
  try {
    static_cast<const ForeignKernel&>(*call.code.foreign).entry()(call.words);
  } catch (const std::exception& thrown) {
    failure = kernel_error(call, runtime::text_of(thrown));
  } catch (const abi::__forced_unwind&) {
    throw;  // the thread is being ended; not ours to stop
  } catch (...) {
    failure = kernel_error(call, "it threw something that is no std::exception");
  }
  troupe_sim_bind_core(outer);
  if (failure) return failure;
  std::string wrong;
  std::int32_t number = 0;
  if (started.count != 0 || started.error_code != 0) wrong = take_deferred(started, *call.deferred, number);
  if (wrong.empty()) return std::nullopt;
  const Error failed = kernel_error(call, "what it left to be completed later cannot be: " + wrong);
  return deferred_error(run, number, Errc::kernel_failed, failed.message());
}

}  // namespace

FlagPlace KernelHost::place_of(const KernelCall& call, const void* flag) const {
  const auto address = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(flag));
  for (std::uint32_t i = 0; i < call.tensors; ++i) {
    const auto& tensor = *pointer<runtime::TensorDescriptor>(static_cast<std::uint64_t>(call.words[i]));
    const auto size = runtime::size_of(static_cast<runtime::DType>(tensor.dtype));
    const auto first = tensor.address + tensor.start_offset * size;
    if (address >= first && address - first < tensor.extent * size) {
      return FlagPlace::argument(i, (address - first) / size);
    }
  }
  if (const auto domain = windows_.domain_at(flag)) {
    if (const auto at = domain->locate(flag)) return FlagPlace::window(at->rank, at->offset);
  }
  return FlagPlace::memory(flag);
}

void KernelHost::interrupt() noexcept {
  flags_.end_all(FlagWaits::End::aborted);
  const std::lock_guard lock(mutex_);
  // The peers wait for this rank; its domain is over for them too.
  for (auto& domain : waiting_in_) domain->abort();
}

void KernelHost::end_waits(bool before_program) noexcept {
  before_program_.store(before_program);
  flags_.end_all(FlagWaits::End::deadlocked);
}

Error KernelHost::deadlock(const FlagCondition& condition) const {
  if (!before_program_.load())
    return Error(Errc::deadlock, to_string(condition) + ", and nothing that could raise it can run");
  return Error(
      Errc::deadlock,
      to_string(condition) +
          ", and nothing but its chip program could raise it, which goes on when this kernel has ended:"
          " it has never waited before, so it runs on the program's thread",
      "make it a TROUPE_WAITING_KERNEL, or submit what raises the flag first");
}

Error KernelHost::given_up(const FlagCondition& condition) {
  return Error(runtime::Errc::scheduler_timeout,
               to_string(condition) + ", and nothing of the run has gone on for a long time",
               "raise SIMPLER_SCHEDULER_TIMEOUT_MS, or find out who was to raise the flag");
}

template <class T>
std::int32_t KernelHost::wait_in_window(comm::DomainMember& domain, const FlagCondition& condition,
                                        std::optional<Error>& why) {
  const auto place = domain.locate(condition.flag);
  const comm::OneSided window(domain);
  const auto look = [&]() -> Result<void> {
    const auto until = condition.deferred
                           ? std::chrono::steady_clock::now() + std::chrono::microseconds(look_microseconds)
                           : comm::never;
    return window.wait_until<T>(place->rank, place->offset, runtime::Compare{condition.compare},
                                static_cast<T>(condition.value), until);
  };
  auto result = look();
  while (!result && condition.deferred && !flags_.deferred_ended() &&
         result.error() == comm::Errc::deadline) {
    if (condition.patience != nullptr && condition.patience->is_over()) {
      why = given_up(condition);
      return TROUPE_PEER_LOST;
    }
    result = look();
  }
  if (result) return TROUPE_DONE;
  why = result.error();
  return result.error() == comm::Errc::aborted ? TROUPE_ABORTED : TROUPE_PEER_LOST;
}

/// In a buffer that the host does not write now.
bool KernelHost::is_left_alone(std::uint64_t address) const {
  return std::any_of(run_.tensors.begin(), run_.tensors.end(), [address](const troupe_tensor_arg& tensor) {
    return (tensor.flags & TROUPE_TENSOR_LEFT_ALONE) != 0 && address >= tensor.buffer &&
           address - tensor.buffer < tensor.buffer_bytes;
  });
}

std::int32_t KernelHost::wait(CoreSlot& core, const KernelCall& call, FlagCondition condition,
                              std::optional<Error>& why) {
  if (condition.flag == nullptr) {
    why.emplace(Errc::bad_address, "wait on a null flag");
    return TROUPE_PEER_LOST;
  }
  core.has_waited = true;
  if (FlagWaits::spin(condition)) return TROUPE_DONE;
  if (run_.aborted.load()) return TROUPE_ABORTED;
  const std::uint64_t since = host_.now();
  condition.place = place_of(call, condition.flag);
  core.flag.store(condition.place.word(), std::memory_order_relaxed);
  core.waiting.store(true, std::memory_order_release);
  std::int32_t outcome = TROUPE_DONE;
  if (auto domain = windows_.domain_at(condition.flag)) {
    {
      const std::lock_guard lock(mutex_);
      waiting_in_.push_back(domain);
    }
    about_to_park(core, false);
    // Looked at again after being listed: an abort either sees the list or is seen here.
    if (run_.aborted.load()) {
      outcome = TROUPE_ABORTED;
    } else {
      outcome = condition.type == TROUPE_FLAG_I32 ? wait_in_window<std::int32_t>(*domain, condition, why)
                : condition.type == flag_u32      ? wait_in_window<std::uint32_t>(*domain, condition, why)
                                                  : wait_in_window<std::uint64_t>(*domain, condition, why);
    }
    const std::lock_guard lock(mutex_);
    waiting_in_.erase(std::find(waiting_in_.begin(), waiting_in_.end(), domain));
  } else {
    const auto address = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(condition.flag));
    const bool local = !memory_.check(address, sizeof(std::int32_t), "flag") || is_left_alone(address);
    const auto end = flags_.wait(condition, local, [&] { about_to_park(core, local); });
    if (end == FlagWaits::End::aborted) outcome = TROUPE_ABORTED;
    if (end == FlagWaits::End::deadlocked) {
      why = deadlock(condition);
      outcome = TROUPE_PEER_LOST;
    }
    if (end == FlagWaits::End::given_up) {
      why = given_up(condition);
      outcome = TROUPE_PEER_LOST;
    }
  }
  core.waiting.store(false, std::memory_order_release);
  core.waited_ns += host_.now() - since;
  return outcome;
}

void KernelHost::notify(void* flag, std::uint32_t type, std::uint32_t operation,
                        std::uint64_t value) noexcept {
  if (flag == nullptr) return;
  auto domain = windows_.domain_at(flag);
  if (domain == nullptr) return flags_.notify(flag, type, operation, value);
  const auto place = domain->locate(flag);
  const comm::OneSided window(*domain);
  const auto how = operation == TROUPE_NOTIFY_ADD ? comm::NotifyOp::add : comm::NotifyOp::set;
  // A window that has been revoked has nobody left to wake.
  if (type == TROUPE_FLAG_I32) {
    static_cast<void>(
        window.notify<std::int32_t>(place->rank, place->offset, how, static_cast<std::int32_t>(value)));
  } else {
    static_cast<void>(window.notify<std::uint64_t>(place->rank, place->offset, how, value));
  }
}

std::optional<Error> await_deferred(KernelHost& host, CoreSlot& core, const KernelCall& call,
                                    const std::vector<FlagCondition>& conditions) noexcept {
  for (const auto& condition : conditions) {
    std::optional<Error> why;
    const auto outcome = host.wait(core, call, condition, why);
    if (outcome != TROUPE_DONE) return outcome_of(call, outcome, "", why);
  }
  return std::nullopt;
}

std::optional<Error> call_kernel(KernelHost& host, CoreSlot& core, Pipes& pipes,
                                 const KernelCall& call) noexcept {
  runtime::LocalContext local{static_cast<std::int32_t>(call.block), static_cast<std::int32_t>(call.blocks)};
  runtime::GlobalContext global{static_cast<std::int32_t>(call.sub_block)};
  call.words[runtime::limits::local_context_word] = reinterpret_cast<std::int64_t>(&local);
  call.words[runtime::limits::global_context_word] = reinterpret_cast<std::int64_t>(&global);
  const Telling telling(host.host(), [&](troupe_running& what) {
    what.what = "kernel";
    what.name = call.code.name;
    what.task = host.run().name.c_str();
    what.words = call.words;
    what.tensor_count = call.tensors;
    what.core = call.core;
    what.core_kind = call.core < architecture.clusters ? TROUPE_CORE_AIC : TROUPE_CORE_AIV;
    what.block = call.block;
    what.block_count = call.blocks;
    what.correlation = host.run().correlation;
  });
  std::optional<Error> failure;
  if (call.code.foreign != nullptr) {
    failure = call_foreign(host.run(), pipes, call, local);
    host.flags().look_again();  // it may have raised some, in ways of its own
    if (!failure && host.run().aborted.load(std::memory_order_relaxed)) {
      failure = Error(Errc::aborted, "kernel '" + std::string(call.code.name) + "' was aborted");
    }
    return failure;
  }
  char text[256];
  text[0] = '\0';
  Caller self{&host, &core, &call, {}};
  const troupe_kernel_call_v1 arguments{sizeof(troupe_kernel_call_v1),
                                        call.tensors,
                                        call.scalars,
                                        0,
                                        call.words,
                                        &kernel_ops,
                                        &self,
                                        text,
                                        sizeof text,
                                        call.scalar_kinds};
  const std::int32_t outcome = call.code.descriptor->invoke.kernel(&arguments);
  if (outcome == TROUPE_DONE) [[likely]]
    return std::nullopt;
  return outcome_of(call, outcome, text, self.why);
}

}  // namespace troupe::platform::sim
