#include "run.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <utility>

#include "troupe/platform/device_context.hpp"
#include "troupe/runtime/thrown.hpp"

namespace troupe::platform {

namespace {

using runtime::DType;

std::uint64_t element_bytes(const troupe_tensor_arg& arg) {
  return runtime::size_of(static_cast<DType>(arg.dtype));
}

bool touches_nothing(const troupe_tensor_arg& arg) {
  for (std::uint32_t i = 0; i < arg.ndims; ++i) {
    if (arg.shape[i] == 0) return true;
  }
  return false;
}

/// Elements from the first to one past the last; false on overflow.
bool extent_of(const troupe_tensor_arg& arg, std::uint64_t& extent) {
  extent = 0;
  if (touches_nothing(arg)) return true;
  extent = 1;
  for (std::uint32_t i = 0; i < arg.ndims; ++i) {
    const auto reach = std::uint64_t{arg.shape[i] - 1} * arg.strides[i];
    if (__builtin_add_overflow(extent, reach, &extent)) return false;
  }
  return true;
}

Result<void> check_view(const troupe_tensor_arg& arg, std::size_t index) {
  const auto bad = [&](const std::string& what) {
    return Error{Errc::bad_task_arguments, "tensor argument " + std::to_string(index) + ": " + what};
  };
  if (arg.ndims < 1 || arg.ndims > 5) return bad(std::to_string(arg.ndims) + " dimensions");
  if (!runtime::is_dtype(arg.dtype)) return bad("unknown dtype " + std::to_string(arg.dtype));
  if (!runtime::is_tag(arg.tag)) return bad("unknown tag " + std::to_string(arg.tag));
  if (arg.address_space > TROUPE_SPACE_DEVICE) return bad("unknown address space");
  std::uint64_t end = 0;
  if (!extent_of(arg, end) || __builtin_add_overflow(end, arg.start_offset, &end) ||
      __builtin_mul_overflow(end, element_bytes(arg), &end) || end > arg.buffer_bytes) {
    return bad("the view leaves its buffer of " + std::to_string(arg.buffer_bytes) + " bytes");
  }
  if (arg.buffer == 0 && !touches_nothing(arg)) return bad("a null buffer");
  return {};
}

bool contiguous(const troupe_tensor_arg& arg) {
  std::uint64_t expected = 1;
  for (std::uint32_t i = arg.ndims; i-- > 0;) {
    if (arg.shape[i] != 1 && arg.strides[i] != expected) return false;
    expected *= arg.shape[i];
  }
  return true;
}

/// Calls row(first element, elements) for runs of neighbouring elements, from the view's own offset on.
template <class Row>
void for_each_row(const troupe_tensor_arg& arg, Row&& row) {
  if (touches_nothing(arg)) return;
  if (contiguous(arg)) {
    std::uint64_t extent = 0;
    (void)extent_of(arg, extent);
    return row(arg.start_offset, extent);
  }
  const std::uint32_t inner = arg.ndims - 1;
  const bool dense = arg.strides[inner] == 1;
  std::array<std::uint32_t, 5> index{};
  for (;;) {
    std::uint64_t at = arg.start_offset;
    for (std::uint32_t i = 0; i < arg.ndims; ++i) at += std::uint64_t{index[i]} * arg.strides[i];
    row(at, dense ? arg.shape[inner] : 1);
    std::uint32_t dim = dense ? inner : arg.ndims;
    while (dim > 0 && ++index[dim - 1] == arg.shape[dim - 1]) index[--dim] = 0;
    if (dim == 0) return;
  }
}

}  // namespace

Result<void> Staging::prepare(const std::vector<troupe_tensor_arg>& tensors, const Check& check_device) {
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto& arg = tensors[i];
    if (auto view = check_view(arg, i); !view) return view;
    if (touches_nothing(arg)) continue;
    if (arg.address_space == TROUPE_SPACE_DEVICE) {
      if (auto known = check_device(arg.buffer, arg.buffer_bytes); !known) {
        return device_error(known.error().code().value,
                            "tensor argument " + std::to_string(i) + ": " + known.error().message());
      }
      continue;
    }
    std::uint64_t extent = 0;
    (void)extent_of(arg, extent);
    const auto low = arg.start_offset * element_bytes(arg);
    const auto high = low + extent * element_bytes(arg);
    auto copy = std::find_if(copies_.begin(), copies_.end(), [&](auto& c) { return c.buffer == arg.buffer; });
    if (copy == copies_.end()) {
      copies_.push_back({arg.buffer, low, high, {}});
    } else {
      copy->low = std::min(copy->low, low);
      copy->high = std::max(copy->high, high);
    }
  }
  for (auto& copy : copies_) {
    copy.low &= ~std::uint64_t{63};  // keeps the alignment that the buffer has
    copy.memory = aligned_bytes(copy.high - copy.low);
    if (!copy.memory) {
      return Error{Errc::out_of_memory,
                   "no room for a copy of " + std::to_string(copy.high - copy.low) + " bytes"};
    }
    std::memset(copy.memory.get(), 0xA5, copy.high - copy.low);  // `out` must not rely on what was there
  }
  for (const auto& arg : tensors) {
    runtime::TensorDescriptor descriptor;
    descriptor.address = arg.buffer;
    const auto copy =
        std::find_if(copies_.begin(), copies_.end(), [&](auto& c) { return c.buffer == arg.buffer; });
    if (arg.address_space == TROUPE_SPACE_HOST && copy != copies_.end()) {
      descriptor.address = address_of(copy->memory.get()) - copy->low;
      if (runtime::reads(static_cast<runtime::Tag>(arg.tag)) || arg.tag == TROUPE_TAG_NO_DEP) {
        const auto bytes = element_bytes(arg);
        for_each_row(arg, [&](std::uint64_t at, std::uint64_t count) {
          std::memcpy(pointer_to(descriptor.address + at * bytes), pointer_to(arg.buffer + at * bytes),
                      count * bytes);
        });
      }
    }
    descriptor.size = arg.buffer_bytes;
    descriptor.start_offset = arg.start_offset;
    descriptor.ndims = arg.ndims;
    descriptor.dtype = arg.dtype;
    descriptor.manual_dep = arg.tag == TROUPE_TAG_NO_DEP;
    descriptor.is_contiguous = contiguous(arg);
    descriptor.address_space = TROUPE_SPACE_DEVICE;
    (void)extent_of(arg, descriptor.extent);
    for (std::size_t i = 0; i < 5; ++i) {
      descriptor.shapes[i] = i < arg.ndims ? arg.shape[i] : 0;
      descriptor.strides[i] = i < arg.ndims ? arg.strides[i] : 0;
    }
    descriptors_.push_back(descriptor);
  }
  return {};
}

void Staging::copy_back(const std::vector<troupe_tensor_arg>& tensors) const {
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto& arg = tensors[i];
    if (arg.address_space != TROUPE_SPACE_HOST || !runtime::writes(static_cast<runtime::Tag>(arg.tag)))
      continue;
    const auto bytes = element_bytes(arg);
    for_each_row(arg, [&](std::uint64_t at, std::uint64_t count) {
      std::memcpy(pointer_to(arg.buffer + at * bytes), pointer_to(descriptors_[i].address + at * bytes),
                  count * bytes);
    });
  }
}

namespace {

/// Services for module kernels: nobody else runs while they do, so a wait is satisfied now or never.
struct PlainOps {
  ScriptedRun* run;
  bool deadlock = false;

  static std::int32_t wait(void* self, const void* flag, std::uint32_t type, std::uint32_t compare,
                           std::uint64_t value) {
    auto& ops = *static_cast<PlainOps*>(self);
    if (ops.run->aborted) return TROUPE_ABORTED;
    const runtime::Compare how{compare};
    bool seen = false;
    if (type == TROUPE_FLAG_I32) {
      seen = runtime::compares(__atomic_load_n(static_cast<const std::int32_t*>(flag), __ATOMIC_ACQUIRE), how,
                               static_cast<std::int32_t>(value));
    } else {
      seen = runtime::compares(__atomic_load_n(static_cast<const std::uint64_t*>(flag), __ATOMIC_ACQUIRE),
                               how, value);
    }
    if (seen) return TROUPE_DONE;
    ops.deadlock = true;
    return TROUPE_ABORTED;
  }
  template <class T>
  static void change(T* flag, std::uint32_t operation, T value) {
    if (operation == TROUPE_NOTIFY_ADD) {
      __atomic_fetch_add(flag, value, __ATOMIC_ACQ_REL);
    } else {
      __atomic_store_n(flag, value, __ATOMIC_RELEASE);
    }
  }
  static void notify(void*, void* flag, std::uint32_t type, std::uint32_t operation, std::uint64_t value) {
    if (type == TROUPE_FLAG_I32) {
      change(static_cast<std::int32_t*>(flag), operation, static_cast<std::int32_t>(value));
    } else {
      change(static_cast<std::uint64_t*>(flag), operation, value);
    }
  }
  static std::int32_t aborted(void* self) { return static_cast<PlainOps*>(self)->run->aborted ? 1 : 0; }
};

/// While it lives, the host knows what this thread is inside of.
class Telling {
 public:
  Telling(const troupe_host& host, const ScriptedRun& run, std::uint32_t block, std::uint32_t blocks,
          std::span<const std::int64_t> words = {})
      : host_(host) {
    if (host_.running == nullptr) return;
    what_.what = "kernel";
    what_.name = run.callable->name.c_str();
    what_.task = run.request.name;
    if (!words.empty()) what_.words = words.data();
    if (!words.empty()) what_.tensor_count = static_cast<std::uint32_t>(run.tensors.size());
    what_.core_kind = TROUPE_CORE_AIV;
    what_.block = block;
    what_.block_count = blocks;
    what_.correlation = run.correlation;
    before_ = host_.running(host_.data, &what_);
  }
  ~Telling() {
    if (host_.running != nullptr) host_.running(host_.data, before_);
  }
  Telling(const Telling&) = delete;
  Telling& operator=(const Telling&) = delete;

 private:
  const troupe_host& host_;
  troupe_running* before_ = nullptr;
  troupe_running what_{};
};

Result<void> execute_module_kernel(ScriptedRun& run, const troupe_host& host) {
  const auto& name = run.callable->name;
  auto descriptors = run.staging.descriptors();
  if (descriptors.size() > runtime::limits::core_tensors ||
      run.scalars.size() > runtime::limits::core_scalars) {
    return Error{Errc::bad_task_arguments, "kernel '" + name + "' takes at most 32 tensors and 16 scalars"};
  }
  PlainOps self{&run};
  const troupe_kernel_ops_v1 ops{sizeof(ops),       0,      PlainOps::wait, PlainOps::notify,
                                 PlainOps::aborted, nullptr};
  const std::uint32_t blocks = run.request.blocks == 0 ? 1 : run.request.blocks;
  for (std::uint32_t block = 0; block < blocks; ++block) {
    if (run.aborted) return Error{Errc::aborted, "kernel '" + name + "' was aborted"};
    runtime::LocalContext local{static_cast<std::int32_t>(block), static_cast<std::int32_t>(blocks)};
    runtime::GlobalContext global;
    std::array<std::int64_t, runtime::limits::kernel_words> words{};
    std::size_t next = 0;
    for (const auto& d : descriptors) words[next++] = static_cast<std::int64_t>(address_of(&d));
    for (const auto scalar : run.scalars) words[next++] = static_cast<std::int64_t>(scalar);
    words[runtime::limits::local_context_word] = static_cast<std::int64_t>(address_of(&local));
    words[runtime::limits::global_context_word] = static_cast<std::int64_t>(address_of(&global));
    std::array<char, 512> text{};
    const troupe_kernel_call_v1 call{sizeof(call),
                                     static_cast<std::uint32_t>(descriptors.size()),
                                     static_cast<std::uint32_t>(run.scalars.size()),
                                     0,
                                     words.data(),
                                     &ops,
                                     &self,
                                     text.data(),
                                     text.size(),
                                     run.scalar_kinds.data()};
    const auto outcome = [&] {
      const Telling telling(host, run, block, blocks, words);
      return run.callable->descriptor->invoke.kernel(&call);
    }();
    ++run.end.chip_tasks;
    text.back() = '\0';
    if (self.deadlock) {
      return Error{Errc::deadlock, "kernel '" + name + "' waits for a flag that nobody can raise any more"};
    }
    if (outcome == TROUPE_ABORTED || outcome == TROUPE_PEER_LOST) {
      return Error{Errc::aborted, "kernel '" + name + "' was aborted"};
    }
    if (outcome != TROUPE_DONE) {
      return Error{Errc::kernel_failed, "kernel '" + name + "' failed: " + text.data()};
    }
  }
  return {};
}

}  // namespace

Result<void> execute(ScriptedRun& run, ScriptedCallAccess::State& state, const troupe_host& host) {
  if (!run.callable->script) return execute_module_kernel(run, host);
  const auto& name = run.callable->name;
  try {
    auto call = ScriptedCallAccess::make(state);
    ++run.end.chip_tasks;
    const Telling telling(host, run, 0, 1);
    (*run.callable->script)(call);
    return {};
  } catch (const Error& error) {
    return error;
  } catch (const std::exception& error) {
    return Error{Errc::kernel_failed, "kernel '" + name + "' failed: " + runtime::text_of(error)};
  } catch (...) {
    return Error{Errc::kernel_failed, "kernel '" + name + "' threw something that is no exception"};
  }
}

std::string_view ScriptedCall::name() const noexcept { return state_->run->callable->name; }
std::uint64_t ScriptedCall::correlation() const noexcept { return state_->run->correlation; }
std::int32_t ScriptedCall::device() const noexcept { return state_->device; }
std::uint64_t ScriptedCall::ordinal() const noexcept { return state_->run->ordinal; }
const troupe_run& ScriptedCall::run() const noexcept { return state_->run->request; }
std::uint64_t ScriptedCall::now() const noexcept { return state_->now_ns; }
std::size_t ScriptedCall::tensor_count() const noexcept { return state_->run->tensors.size(); }
std::size_t ScriptedCall::scalar_count() const noexcept { return state_->run->scalars.size(); }
void ScriptedCall::takes(std::uint64_t ns) noexcept { state_->takes_ns = ns; }
void ScriptedCall::waits() noexcept { state_->waits = true; }
void ScriptedCall::hangs() noexcept { state_->hangs = true; }

const runtime::TensorDescriptor& ScriptedCall::descriptor(std::size_t i, std::uint32_t dtype) const {
  const auto& all = state_->run->staging.descriptors();
  if (i >= all.size()) {
    throw Error{Errc::bad_task_arguments, "'" + std::string{name()} + "' has no tensor argument " +
                                              std::to_string(i) + ", only " + std::to_string(all.size())};
  }
  if (all[i].dtype != dtype) {
    throw Error{Errc::bad_task_arguments,
                "tensor argument " + std::to_string(i) + " of '" + std::string{name()} + "' is " +
                    std::string{runtime::name_of(static_cast<DType>(all[i].dtype))} + ", not " +
                    std::string{runtime::name_of(static_cast<DType>(dtype))}};
  }
  return all[i];
}

runtime::ScalarArg ScriptedCall::scalar_given(std::size_t i) const {
  const auto& scalars = state_->run->scalars;
  if (i >= scalars.size()) {
    throw Error{Errc::bad_task_arguments, "'" + std::string{name()} + "' has no scalar argument " +
                                              std::to_string(i) + ", only " + std::to_string(scalars.size())};
  }
  return {scalars[i], static_cast<runtime::ScalarKind>(state_->run->scalar_kinds[i])};
}

}  // namespace troupe::platform
