#include "device/device.hpp"

#include <algorithm>
#include <cstring>
#include <exception>
#include <utility>

#include "kernels/kernels.hpp"
#include "memory/memory.hpp"
#include "orchestration/orchestration.hpp"
#include "troupe/platform/errc.hpp"

namespace troupe::platform::sim {

namespace {

/// A bare kernel with one block: no graph, one thread.
class LoneKernel final : public KernelHost {
 public:
  LoneKernel(HostServices& host, DeviceMemory& memory, WindowSet& windows, Run& run, RunQueue& queue)
      : KernelHost(host, memory, windows, run), queue_(queue) {}

 private:
  void about_to_park(CoreSlot& /*core*/, bool local) override {
    queue_.flush();
    // Nothing else of this run exists that could raise a flag which only this run can reach.
    if (local) end_waits(false);
  }
  RunQueue& queue_;
};

void copy_text(char* target, std::size_t size, const char* text) noexcept {
  const std::size_t length = std::min(std::strlen(text), size - 1);
  std::memcpy(target, text, length);
  target[length] = '\0';
}

}  // namespace

Device::Device(HostServices& host, const Options& options, std::int32_t number)
    : HostChip(host, options, number, &load_code),
      created_ns_(host.now()),
      created_ticks_(ticks()),
      staging_(memory(), options.checked),
      engine_({host, threads(), callables(), memory(), window_set(), board_, pipes_}, options) {}

Result<std::uint64_t> Device::add_graph(const troupe_graph& graph) {
  auto made = LaunchedGraph::make(graph, callables());
  if (!made) return made.error();
  return callables().add_graph(graph.name != nullptr ? graph.name : "", *std::move(made));
}

Result<void> Device::launch_graph(const troupe_run& run, std::uint64_t settled) {
  return queue().launch({&run, 1}, settled, RunQueue::Of::graphs);
}

Outcome Device::execute(Run& run) noexcept {
  try {
    return execute_checked(run);
  } catch (...) {
    return outcome_of_thrown("the simulator failed in a run of", run.callable->name);
  }
}

Outcome Device::execute_checked(Run& run) {
  if (run.block_dim > architecture.clusters) {
    return Error(Errc::capacity_exceeded, "block_dim " + std::to_string(run.block_dim) + " of '" +
                                              run.callable->name + "': this chip has " +
                                              std::to_string(architecture.clusters) + " clusters");
  }
  Result<void> copied;
  if (!queue().with_host_memory([&] { copied = staging_.copy_in(run); }))
    copied = Error(Errc::aborted, "the chip was given up before the run began");
  if (!copied) {
    staging_.finish();
    return copied.error();
  }
  Result<void> done;
  // One block of one kernel needs neither a graph nor a second thread; a run that is watched goes the long
  // way.
  const bool lone = !run.callable->is_program() && run.blocks == 1 && !run.wants(TROUPE_RUN_PROFILE) &&
                    !run.wants(TROUPE_RUN_DUMP);
  if (auto fits = run.callable->is_program() ? Result<void>() : check_kernel_arguments(run); !fits) {
    done = fits;
  } else {
    done = lone ? run_one_kernel(run) : engine_.run(run, staging_.tensors(), queue());
  }
  pipes_.reset();
  // A kernel that noticed the abort and returned has written half of its outputs.
  if (done && run.aborted.load()) done = Error(Errc::aborted, "aborted while it ran");
  if (done && !queue().with_host_memory([&] { staging_.copy_back(); })) {
    done = Error(Errc::aborted, "the chip was given up while it ran");
  }
  staging_.finish();
  return done ? Outcome() : Outcome(done.error());
}

Result<void> Device::run_one_kernel(Run& run) {
  const auto tensors = staging_.tensors();
  LoneKernel kernels(host(), memory(), window_set(), run, queue());
  {
    const std::lock_guard lock(current_mutex_);
    current_ = &kernels;
  }
  runtime::TensorDescriptor descriptors[runtime::limits::core_tensors];
  runtime::Tag tags[runtime::limits::core_tensors];
  runtime::KernelWords words;
  std::size_t next = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    tags[i] = static_cast<runtime::Tag>(run.tensors[i].tag);
    descriptors[i] =
        runtime::describe(tensors[i], tensors[i].buffer().offset, runtime::AddressSpace::device, tags[i]);
    words.words[next++] = reinterpret_cast<std::int64_t>(&descriptors[i]);
  }
  for (const std::uint64_t scalar : run.scalars) words.words[next++] = static_cast<std::int64_t>(scalar);
  const std::uint32_t number =
      run.callable->core_kind == TROUPE_CORE_AIC ? CoreBoard::aic(0) : CoreBoard::aiv(0);
  CoreSlot& core = board_.core(number);
  KernelCall call;
  call.code = {run.callable->descriptor, run.callable->foreign.get(), run.callable->name.c_str()};
  call.words = words.words;
  call.tensors = static_cast<std::uint32_t>(tensors.size());
  call.scalars = static_cast<std::uint32_t>(run.scalars.size());
  call.scalar_kinds = run.scalar_kinds.data();
  call.core = number;
  InputCheck inputs;
  const auto resident = [&](std::uint32_t i) { return run.tensors[i].address_space == TROUPE_SPACE_DEVICE; };
  if (checked()) inputs.begin(descriptors, tags, call.tensors, resident);
  std::vector<FlagCondition> deferred;
  call.deferred = &deferred;
  call.task = run.correlation;
  core.enter(call.code.name, 0, ticks());
  auto failure = call_kernel(kernels, core, pipes_, call);
  if (!failure && !deferred.empty()) failure = await_deferred(kernels, core, call, deferred);
  core.leave();
  if (!failure && checked()) failure = inputs.end(call.code.name, resident);
  if (!failure && checked()) failure = overstep_of(call, descriptors, tags);
  {
    const std::lock_guard lock(current_mutex_);
    current_ = nullptr;
  }
  run.chip_tasks = 1;
  if (failure) return *failure;
  return {};
}

// On a checked chip: the kernel wrote next to what it was given.
std::optional<Error> Device::overstep_of(const KernelCall& call, const runtime::TensorDescriptor* tensors,
                                         const runtime::Tag* tags) {
  const auto found = first_overstep(tags, call.tensors, [&](std::uint32_t i) {
    return tensors[i].extent != 0 ? memory().take_overstep(tensors[i].address, tensors[i].size)
                                  : std::nullopt;
  });
  if (!found) return std::nullopt;
  std::string who = "kernel '" + std::string(call.code.name) + "'";
  if (memory().is_window(tensors[found->first].address)) who += ", or one of a peer,";
  return overstepped(who, found->first, found->second);
}

void Device::store(std::uint64_t address, const void* data, std::uint64_t size) {
  store_visibly(pointer(address), data, size);
  engine_.memory_written();
  const std::lock_guard lock(current_mutex_);
  if (current_ != nullptr) current_->flags().look_again();
}

void Device::interrupt(Run& run) noexcept {
  const std::lock_guard lock(current_mutex_);
  if (current_ != nullptr && &current_->run() == &run) current_->interrupt();
  engine_.interrupt(run);
}

std::uint64_t Device::host_time(std::uint64_t at_ticks) const noexcept {
  const std::uint64_t now = host().now();
  const std::uint64_t now_ticks = ticks();
  if (now_ticks <= created_ticks_ || at_ticks <= created_ticks_) return now;
  const double part =
      static_cast<double>(at_ticks - created_ticks_) / static_cast<double>(now_ticks - created_ticks_);
  return created_ns_ +
         static_cast<std::uint64_t>(static_cast<double>(now - created_ns_) * std::min(part, 1.0));
}

std::size_t Device::report_cores(troupe_core_status* cores, std::size_t capacity) const {
  std::size_t count = 0;
  queue().for_each_unfinished([&](const Run& run, bool executing) {
    if (!executing) return;
    const auto report = [&](const CoreSlot& slot, std::uint32_t number, std::uint32_t kind) {
      const char* name = slot.name.load(std::memory_order_acquire);
      if (name == nullptr || count++ >= capacity) return;
      troupe_core_status& core = cores[count - 1];
      core = {};
      core.core = number;
      core.core_kind = kind;
      core.block = slot.block.load(std::memory_order_relaxed);
      core.correlation = run.correlation;
      core.since_ns = host_time(slot.since.load(std::memory_order_relaxed));
      copy_text(core.name, sizeof core.name, name);
      if (!slot.waiting.load(std::memory_order_acquire)) return;
      core.activity = TROUPE_ACTIVITY_WAITING;
      const auto place = FlagPlace::from_word(slot.flag.load(std::memory_order_relaxed));
      copy_text(core.detail, sizeof core.detail, ("flag at " + to_string(place)).c_str());
    };
    for (std::uint32_t number = 0; number < architecture.cores(); ++number) {
      report(board_.core(number), number, number < architecture.clusters ? TROUPE_CORE_AIC : TROUPE_CORE_AIV);
    }
    engine_.look_at_deferred([&](const CoreSlot& slot) { report(slot, TROUPE_NO_CORE, TROUPE_CORE_AIV); });
    report(board_.program(), TROUPE_NO_CORE, TROUPE_CORE_CONTROL);
  });
  return count;
}

}  // namespace troupe::platform::sim
