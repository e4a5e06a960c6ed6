#include "script.hpp"

#include <algorithm>
#include <utility>

#include "context.hpp"

namespace troupe::platform {

std::shared_ptr<const ScriptedKernel> Script::kernel(const std::string& name) {
  std::lock_guard lock{mutex};
  const auto found = kernels.find(name);
  return found != kernels.end() ? found->second : nullptr;
}

namespace {
bool fires(Script::PlannedFault& planned) {
  ++planned.seen;
  const auto& fault = planned.fault;
  return planned.seen >= fault.at && planned.seen - fault.at < fault.times;
}
}  // namespace

std::optional<ScriptedFault> Script::fault_for_run(std::int32_t device, const std::string& callable) {
  std::lock_guard lock{mutex};
  std::optional<ScriptedFault> found;
  for (auto& planned : faults) {  // every matching fault counts the run, the first to fire wins
    const auto& fault = planned.fault;
    if (fault.kind == ScriptedFault::Kind::fail_call) continue;
    if (fault.device != -1 && fault.device != device) continue;
    if (!fault.callable.empty() && fault.callable != callable) continue;
    if (fires(planned) && !found) found = fault;
  }
  return found;
}

std::optional<ScriptedFault> Script::fault_for_call(std::int32_t device, const char* call) {
  std::lock_guard lock{mutex};
  std::optional<ScriptedFault> found;
  for (auto& planned : faults) {
    const auto& fault = planned.fault;
    if (fault.kind != ScriptedFault::Kind::fail_call || fault.call != call) continue;
    if (fault.device != -1 && fault.device != device) continue;
    if (fires(planned) && !found) found = fault;
  }
  return found;
}

void Script::record(ScriptedEvent event) {
  if (!options.record) return;
  std::lock_guard lock{mutex};
  history.push_back(std::move(event));
}

std::shared_ptr<ScriptedDomain> Script::domain(const DomainKey& key) {
  std::lock_guard lock{mutex};
  std::erase_if(domains, [](const auto& entry) { return entry.second.expired(); });
  auto& slot = domains[key];
  auto domain = slot.lock();
  if (!domain) slot = domain = std::make_shared<ScriptedDomain>();
  return domain;
}

std::vector<std::shared_ptr<ScriptedContext>> Script::living() {
  std::lock_guard lock{mutex};
  std::vector<std::shared_ptr<ScriptedContext>> alive;
  for (const auto& weak : contexts) {
    if (auto context = weak.lock()) alive.push_back(std::move(context));
  }
  return alive;
}

ScriptedChip::ScriptedChip(ScriptedChipOptions options) : script_(std::make_shared<Script>()) {
  script_->options = std::move(options);
}

ScriptedChip& ScriptedChip::on(const std::string& callable, ScriptedKernel kernel) {
  auto shared = std::make_shared<const ScriptedKernel>(std::move(kernel));
  std::lock_guard lock{script_->mutex};
  script_->kernels[callable] = std::move(shared);
  return *this;
}

namespace {

constexpr std::string_view abi_calls[] = {"create_device_context",
                                          "destroy_device_context",
                                          "set_device_option",
                                          "set_device",
                                          "reset_device",
                                          "finalize_device",
                                          "device_malloc_ctx",
                                          "device_free_ctx",
                                          "copy_to_device_ctx",
                                          "copy_from_device_ctx",
                                          "run_move",
                                          "register_callable",
                                          "unregister_callable",
                                          "launch_runs",
                                          "run_runtime",
                                          "abort_runs",
                                          "device_properties",
                                          "device_status",
                                          "window_create",
                                          "window_import",
                                          "window_commit",
                                          "window_abort",
                                          "window_release"};

void check(const ScriptedFault& fault) {
  const auto refuse = [](const std::string& what, const std::string& hint) {
    throw Error{Errc::invalid_argument, "a fault " + what + " never fires", hint};
  };
  if (fault.at == 0) refuse("at 0", "tasks and calls are counted from 1");
  if (fault.times == 0) refuse("that happens 0 times", "leave it out for once");
  if (fault.kind != ScriptedFault::Kind::fail_call) return;
  if (std::find(std::begin(abi_calls), std::end(abi_calls), fault.call) == std::end(abi_calls)) {
    std::string all;
    for (const auto name : abi_calls) all += (all.empty() ? "" : ", ") + std::string(name);
    refuse("of the call \"" + fault.call + "\"", "the device ABI has: " + all);
  }
  if (fault.call == abi_calls[0] && fault.device != -1) {
    refuse("of create_device_context on one device", "a context has no device yet: use -1, or set_device");
  }
}

}  // namespace

ScriptedChip& ScriptedChip::inject(ScriptedFault fault) {
  check(fault);
  std::lock_guard lock{script_->mutex};
  script_->faults.push_back({std::move(fault)});
  return *this;
}

bool ScriptedChip::step() {
  const auto contexts = script_->living();
  std::size_t first = 0;
  {
    std::lock_guard lock{script_->mutex};
    first = script_->next_context;
  }
  for (std::size_t i = 0; i < contexts.size(); ++i) {
    const auto turn = (first + i) % contexts.size();
    if (contexts[turn]->step()) {
      std::lock_guard lock{script_->mutex};
      script_->next_context = turn + 1;
      return true;
    }
  }
  return false;
}

std::size_t ScriptedChip::run() {
  std::size_t steps = 0;
  while (step()) ++steps;
  return steps;
}

void ScriptedChip::release_hung() {
  for (const auto& context : script_->living()) context->release_hung();
}

std::vector<ScriptedEvent> ScriptedChip::history() const {
  std::lock_guard lock{script_->mutex};
  return script_->history;
}

std::size_t ScriptedChip::live_contexts() const {
  std::lock_guard lock{script_->mutex};
  return script_->live;
}

}  // namespace troupe::platform
