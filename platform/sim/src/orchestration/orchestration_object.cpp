#include "orchestration/orchestration_object.hpp"

#include <unistd.h>

#include <string>
#include <utility>

#include "orchestration/object_run.hpp"
#include "troupe/platform/errc.hpp"

namespace troupe::platform::sim {

namespace {

constexpr const char* usual_entry = "aicpu_orchestration_entry";
constexpr const char* usual_config = "aicpu_orchestration_config";

Error cannot_load(const std::string& name, const std::string& why, const std::string& hint = "") {
  return Error(Errc::bad_callable, "cannot load orchestration '" + name + "': " + why, hint);
}

constexpr const char* which_generation =
    "orchestrations of the generation of August 2026 run here; compile it again with that one's headers";

}  // namespace

bool OrchestrationObject::is_one(const HostObject& object) noexcept {
  return object.symbol("framework_bind_runtime") != nullptr ||
         object.symbol("simpler_host_log_bind_state") != nullptr || object.symbol(usual_entry) != nullptr;
}

Result<std::unique_ptr<LoadedCode>> OrchestrationObject::load(std::string_view name, HostObject object,
                                                              const PackedCallable& packed) {
  std::unique_ptr<OrchestrationObject> made(new OrchestrationObject(name, std::move(object)));
  made->rings_ = packed.rings;
  if (auto resolved = made->resolve(packed); !resolved) return resolved.error();
  if (auto added = made->add_kernels(packed); !added) return added.error();
  return std::unique_ptr<LoadedCode>(std::move(made));
}

// The order is that of the other system: the log first, so that what the object says while it is loaded has a
// place to go, the recorders of graphs last.
Result<void> OrchestrationObject::resolve(const PackedCallable& packed) {
  using BindLog = int (*)(object_abi::LogState*);
  using Prewarm = void (*)();
  const auto prewarm = reinterpret_cast<Prewarm>(object_.symbol("framework_prewarm_graph_recorders"));
  is_host_graph_ = prewarm != nullptr;
  bind_ = reinterpret_cast<Bind>(object_.symbol("framework_bind_runtime"));
  if (bind_ == nullptr)
    return cannot_load(name_,
                       "it takes no runtime (it exports no framework_bind_runtime), as those did that "
                       "were made before July 2026",
                       which_generation);
  const auto bind_log = reinterpret_cast<BindLog>(object_.symbol("simpler_host_log_bind_state"));
  if (bind_log == nullptr)
    return cannot_load(name_, "it takes no log (it exports no simpler_host_log_bind_state)",
                       which_generation);
  log_->clock_process = static_cast<std::int32_t>(getpid());
  if (const int answer = bind_log(log_.get()); answer != 0)
    return cannot_load(name_,
                       "it knows no log of version " + std::to_string(log_->version) + " (it answered " +
                           std::to_string(answer) + ")",
                       which_generation);
  const bool is_packed = packed.form == PackedCallable::Form::orchestration;
  if (is_packed && is_host_graph_ && packed.entry.empty())
    return cannot_load(name_, "its packed callable names no entry");
  const std::string entry = packed.entry.empty() ? usual_entry : packed.entry;
  entry_ = reinterpret_cast<Entry>(object_.symbol(entry.c_str()));
  if (entry_ == nullptr) return cannot_load(name_, "it exports no entry '" + entry + "'");
  const std::string config = packed.config.empty() ? usual_config : packed.config;
  if (!is_host_graph_) config_ = reinterpret_cast<Config>(object_.symbol(config.c_str()));
  directions_ = packed.directions;
  if (prewarm != nullptr) prewarm();
  return {};
}

Result<void> OrchestrationObject::add_kernels(const PackedCallable& packed) {
  for (const PackedKernel& kernel : packed.kernels) {
    Kernel& added = kernels_.emplace_back();
    added.number = kernel.number;
    added.entry = std::make_unique<KernelEntry>();
    added.entry->name = name_ + "/" + std::to_string(kernel.number);
    auto code = ForeignKernel::load(added.entry->name, kernel.object);
    if (!code) return code.error();
    added.code = *std::move(code);
    added.entry->code = {
        .descriptor = nullptr, .foreign = added.code.get(), .name = added.entry->name.c_str()};
    added.entry->waits.store(true, std::memory_order_relaxed);
  }
  return {};
}

std::uint32_t OrchestrationObject::chip_runtime() const noexcept {
  return is_host_graph_ ? TROUPE_CHIP_RUNTIME_HOST_GRAPH : TROUPE_CHIP_RUNTIME_TENSORMAP;
}

Result<void> OrchestrationObject::run(ChipEngine& engine, const Run& run,
                                      std::span<const runtime::Tensor> tensors) const {
  const auto taken = std::make_unique<ObjectRun>(*this, engine, run, tensors);
  return taken->execute();
}

}  // namespace troupe::platform::sim
