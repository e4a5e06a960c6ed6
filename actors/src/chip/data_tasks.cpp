// Tasks that move bytes and run no kernel: copies and fills, and what only asks where copies are.
#include <algorithm>
#include <array>
#include <cstring>

#include "chip/state.hpp"
#include "tasks.hpp"
#include "troupe/actors/errc.hpp"

namespace troupe::actors {
namespace {

/// Bytes that go through memory of ours do so in pieces that the cache keeps.
constexpr std::uint64_t piece = 256ULL << 10U;

/// The elements of a tensor, in host memory or in the chip's.
struct Elements {
  runtime::Tensor view;
  std::uint64_t base = 0;  ///< of the buffer
  bool on_chip = false;

  std::uint64_t begin() const { return base + view.byte_offset(); }
};

std::byte* host_pointer(std::uint64_t address) {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): a pointer that travelled as a number
  return reinterpret_cast<std::byte*>(static_cast<std::uintptr_t>(address));
}

/// Calls `run(address, bytes)` for each stretch without gaps, in the order of the elements.
template <class Run>
Result<void> for_each_run(const Elements& of, Run run) {
  const auto& view = of.view;
  if (view.elements() == 0) return {};
  if (view.is_contiguous()) return run(of.begin(), view.bytes());
  // The innermost dimensions that lie without gaps are one run.
  std::size_t outer = view.dims();
  std::uint64_t elements = 1;
  while (outer > 0 && (view.extent(outer - 1) == 1 || view.stride(outer - 1) == elements)) {
    elements *= view.extent(--outer);
  }
  std::array<std::uint32_t, runtime::limits::max_dims> at{};
  for (;;) {
    std::uint64_t offset = 0;
    for (std::size_t d = 0; d < outer; ++d) offset += std::uint64_t{at[d]} * view.stride(d);
    if (auto done = run(of.begin() + offset * view.element_bytes(), elements * view.element_bytes()); !done)
      return done;
    std::size_t d = outer;
    while (d > 0 && ++at[d - 1] == view.extent(d - 1)) at[--d] = 0;
    if (d == 0) return {};
  }
}

/// Into dense bytes, or out of them.
Result<void> move_dense(DeviceInUse& device, const Elements& elements, std::byte* dense, bool into) {
  return for_each_run(elements, [&](std::uint64_t address, std::uint64_t bytes) -> Result<void> {
    auto* here = std::exchange(dense, dense + bytes);
    if (elements.on_chip) {
      return into ? device.context.copy_from(here, address, bytes)
                  : device.context.copy_to(address, here, bytes);
    }
    // Parts of one tensor may overlap.
    into ? std::memmove(here, host_pointer(address), bytes)
         : std::memmove(host_pointer(address), here, bytes);
    return {};
  });
}

Result<void> copy_elements(DeviceInUse& device, const Elements& to, const Elements& from,
                           const MemoryCall::Crossing& crossing) {
  const bool dense = to.view.is_contiguous() && from.view.is_contiguous();
  if (dense && !from.on_chip) return move_dense(device, to, host_pointer(from.begin()), false);
  if (dense && !to.on_chip) return move_dense(device, from, host_pointer(to.begin()), true);
  std::vector<std::byte> between(from.view.bytes());
  if (auto out = move_dense(device, from, between.data(), true); !out) return out;
  if (crossing.turned) *crossing.turned = crossing.now();
  return move_dense(device, to, between.data(), false);
}

Result<void> fill_elements(DeviceInUse& device, const Elements& to, std::uint64_t value) {
  const auto size = to.view.element_bytes();
  std::vector<std::byte> pattern(
      std::min<std::uint64_t>(piece, std::max<std::uint64_t>(to.view.bytes(), size)) / size * size);
  for (std::uint64_t at = 0; at < pattern.size(); at += size) std::memcpy(pattern.data() + at, &value, size);
  return for_each_run(to, [&](std::uint64_t address, std::uint64_t bytes) -> Result<void> {
    for (std::uint64_t done = 0; done < bytes;) {
      if (device.given_up()) return Error(Errc::chip_lost, "the chip ended during a fill");
      const auto now = std::min<std::uint64_t>(bytes - done, pattern.size());
      if (to.on_chip) {
        if (auto made = device.context.copy_to(address + done, pattern.data(), now); !made) return made;
      } else {
        std::memcpy(host_pointer(address + done), pattern.data(), now);
      }
      done += now;
    }
    return {};
  });
}

}  // namespace

/// Whether the task has ended, and how; nothing: it has begun, or waits for those it follows.
std::optional<TaskResult> ChipState::data_task(const Item& item) {
  const auto& request = item.request;
  if (data_task_running_) return std::nullopt;
  if (failures_.lead_to(request)) {
    failures_.add(request.key);
    return not_begun(request, Outcome::skipped);
  }
  // The device does not know of it, so what it follows has to have ended.
  for (const auto& flight : flights_) {
    if (!flight.ended && follows(request, flight.key)) return std::nullopt;
  }
  const auto kind = request.body->callable->data_task;
  std::optional<Error> why;
  if (const auto data = bring(item, Room::make, why); data != Data::there) {
    if (data == Data::refused) return refuse(request, *std::move(why));
    return std::nullopt;
  }
  const auto began = tracer_ ? tracer_->now() : 0;
  if (kind == DataTask::pin) {
    for (const auto& use : item.uses.all()) use.copy->pinned = true;
  }
  if (kind != DataTask::copy && kind != DataTask::fill) return data_task_result(request, {}, began);

  if (auto refused = check_memory(request)) return refused;
  const auto& args = arguments_of(*request.body, request.key.member);
  std::vector<Elements> elements;
  for (const auto& operand : args.tensors) {
    const auto base =
        operand.buffer == nullptr ? operand.tensor.buffer().offset : host_address_of(*operand.buffer);
    elements.push_back({operand.tensor, base, operand.buffer == nullptr});
  }
  MemoryCall call{MemoryCall::What::task, identity_.incarnation, 0, elements.back().view.bytes()};
  call.crossing.in = elements.back().on_chip;
  call.crossing.out = kind == DataTask::copy && elements.front().on_chip;
  if (tracer_ && call.crossing.in && call.crossing.out) {
    call.crossing.now = [tracer = tracer_] { return tracer->now(); };
    call.crossing.turned = std::make_shared<std::optional<std::int64_t>>();
  }
  call.task = [kind, elements, crossing = call.crossing,
               value = args.scalars.empty() ? 0 : args.scalars.front()](DeviceInUse& device) {
    return kind == DataTask::copy ? copy_elements(device, elements[1], elements[0], crossing)
                                  : fill_elements(device, elements[0], value);
  };
  if (call.bytes > quick_bytes) {
    call.keeps = request.memory;
    moves_.push_back(std::move(call));
    data_task_running_ = request.key;
    data_task_began_ = began;
    return std::nullopt;
  }
  const auto made = move_now(call);
  if (lost_by(made)) return std::nullopt;
  return data_task_result(request, made, began);
}

TaskResult ChipState::data_task_result(const TaskRequest& request, const Result<void>& made,
                                       std::int64_t began) {
  if (made && tracer_) tracer_->ran(*request.body, request.key, began, nullptr);
  if (!made) {
    auto result = refuse(request, made.error());
    result.untouched = false;
    return result;
  }
  ++completed_;
  return {request.key, request.ticket, -1, Outcome::done, std::nullopt};
}

/// The one that ran on a thread of its own, next in the queue.
void ChipState::data_task_ended(const Result<void>& made, std::vector<TaskResult>& out) {
  if (!std::exchange(data_task_running_, std::nullopt) || queued_.empty()) return;
  out.push_back(data_task_result(queued_.front().request, made, data_task_began_));
  queued_.pop_front();
}

}  // namespace troupe::actors
