// What goes to a chip's device: from requests to launches in batches.
#include <algorithm>
#include <utility>

#include "chip/launch.hpp"
#include "chip/state.hpp"
#include "tasks.hpp"
#include "troupe/actors/errc.hpp"
#include "troupe/platform/errc.hpp"

namespace troupe::actors {

troupe_tensor_arg argument_of(const Operand& arg, std::uint64_t buffer, bool on_chip) {
  const auto& tensor = arg.tensor;
  troupe_tensor_arg slot{};
  slot.buffer = buffer;
  slot.buffer_bytes = tensor.buffer_bytes();
  // A tensor without an element type has no elements either.
  slot.start_offset = tensor.byte_offset() / std::max<std::size_t>(tensor.element_bytes(), 1);
  slot.ndims = static_cast<std::uint32_t>(tensor.dims());
  for (std::size_t i = 0; i < tensor.dims(); ++i) {
    slot.shape[i] = tensor.extent(i);
    slot.strides[i] = tensor.stride(i);
  }
  slot.dtype = static_cast<std::uint8_t>(tensor.dtype());
  slot.tag = static_cast<std::uint8_t>(arg.tag);
  slot.address_space = on_chip ? TROUPE_SPACE_DEVICE : TROUPE_SPACE_HOST;
  // Copies of buffers are written by tasks alone.
  if (on_chip && arg.buffer != nullptr) slot.flags = TROUPE_TENSOR_LEFT_ALONE;
  return slot;
}

std::vector<TaskResult> ChipState::execute(std::vector<TaskRequest>& requests) {
  std::vector<TaskResult> out;
  if (life_ != Life::ready) {
    const auto error = wrong_state("run");
    const auto outcome = life_ == Life::lost ? Outcome::lost : Outcome::failed;
    for (const auto& request : requests) out.push_back(not_begun(request, outcome, error));
    return out;
  }
  launch(requests, out);
  return out;
}

TaskResult ChipState::refuse(const TaskRequest& request, Error error) {
  ++failed_;
  failures_.add(request.key);
  if (tracer_) tracer_->refused(*request.body, error);
  return not_begun(request, Outcome::failed, std::move(error));
}

/// Whether an argument is in the chip's memory, and not in the host's, or of no buffer.
bool ChipState::is_copied(const TaskRequest& request, const Operand& operand, std::size_t argument) {
  return operand.buffer != nullptr && !std::binary_search(request.at_home.begin(), request.at_home.end(),
                                                          static_cast<std::uint32_t>(argument));
}
/// The piece of its buffer that such an argument uses there; null: all of it.
const Piece* ChipState::piece_of(const TaskRequest& request, std::size_t argument) {
  const auto use = std::find_if(request.pieces.begin(), request.pieces.end(),
                                [&](const PieceUse& it) { return it.argument == argument; });
  return use == request.pieces.end() || use->piece.number == 0 ? nullptr : &use->piece;
}

/// The task with the copies that it will use; later orders to drop them leave these alone.
ChipState::Item ChipState::item_of(TaskRequest& request) {
  Item item{std::move(request), CopyUses(copies_)};
  const auto& tensors = arguments_of(*item.request.body, item.request.key.member).tensors;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto& operand = tensors[i];
    if (!is_copied(item.request, operand, i)) continue;
    const auto* piece = piece_of(item.request, i);
    auto& copy = copies_.of(operand.buffer->number(),
                            piece != nullptr ? *piece : Piece{0, whole_box(*operand.buffer)});
    if (copy.users == 0 && copy.of.expired()) copy.of = operand.buffer->weak_from_this();
    const bool writes = runtime::writes(operand.tag);
    // Who writes a part of it leaves the rest as it was.
    const bool all = piece == nullptr ? is_whole(operand) : box_of(operand) == piece->box;
    item.uses.add(
        {&copy, static_cast<std::uint16_t>(i), !writes || runtime::reads(operand.tag) || !all, writes});
  }
  return item;
}

/// The copy that an argument of a task is in; null: it is in host memory, or of no buffer.
const Copy* ChipState::copy_of(const Item& item, const Operand& operand, std::size_t argument) {
  if (!is_copied(item.request, operand, argument)) return nullptr;
  const auto* piece = piece_of(item.request, argument);
  const auto number = piece != nullptr ? piece->number : 0;
  for (const auto& use : item.uses.all()) {
    if (use.copy->buffer == operand.buffer->number() && use.copy->piece.number == number) return use.copy;
  }
  return nullptr;
}

/// What keeps a queued request from being launched at all.
std::optional<TaskResult> ChipState::prepare(const TaskRequest& request, std::uint64_t& callable) {
  if (!request.depends.empty() && failures_.lead_to(request)) {
    failures_.add(request.key);
    return not_begun(request, Outcome::skipped);
  }
  auto id = callable_id(*request.body->callable, owner_of(*request.body));
  if (!id && lost_by(id.error())) return std::nullopt;
  if (!id) return refuse(request, id.error());
  callable = *id;
  return check_memory(request);
}

/// What names memory of a chip has to mean this one, in this life.
std::optional<TaskResult> ChipState::check_memory(const TaskRequest& request) {
  for (const auto& arg : arguments_of(*request.body, request.key.member).tensors) {
    const auto buffer = arg.tensor.buffer();
    if (arg.buffer != nullptr) continue;
    if (buffer.arena == 0) {
      if (buffer.offset != 0 || arg.tensor.bytes() == 0) continue;
      return refuse(request, {Errc::bad_argument, "a tensor argument has no memory"});
    }
    if (buffer.arena != device_arena(identity_.node, identity_.index)) {
      const auto other = chip_with_arena(identity_.node, buffer.arena);
      return refuse(request, {Errc::bad_argument,
                              "a tensor argument lives on " +
                                  (other < 0 ? "a chip of another node"
                                             : "another chip, number " + std::to_string(other)),
                              "run the task where its data is, or copy the data first"});
    }
    if (!of_life(buffer.generation, identity_.incarnation)) {
      return refuse(request, {Errc::data_lost, "device tensor " + to_string(arg.tensor) +
                                                   " died with an earlier life of " + identity_.name});
    }
  }
  return std::nullopt;
}

/// What can go now: first what is queued, then what has just come. The rest of that is queued.
void ChipState::gather(std::vector<TaskRequest>& fresh, std::vector<TaskResult>& out) {
  batch_.clear();
  batch_callables_.clear();
  auto take = [&](Item& item) {
    const auto& request = item.request;
    // A bundle goes when what is to go before it has gone.
    if (in_flight_ + batch_.size() >= static_cast<std::size_t>(config_.credit) ||
        request.body->callable->bundle || follows_bundle(request) ||
        order_links(*request.body->callable, owner_of(*request.body)))
      return false;
    if (request.body->callable->data_task != DataTask::none) {
      // What is to be launched before it is, now.
      auto ended = batch_.empty() ? data_task(item) : std::nullopt;
      if (!ended) return false;
      answer(item, *std::move(ended), out);
      return true;
    }
    std::uint64_t callable = 0;
    if (auto refusal = prepare(request, callable)) {
      answer(item, *std::move(refusal), out);
      return true;
    }
    if (life_ != Life::ready) return false;  // the end of the chip is the answer
    std::optional<Error> why;
    switch (bring(item, Room::make, why)) {
      case Data::there:
        item.uses.launched(true);
        item.uses.take_effect();  // at once: nothing is brought for those behind it that it writes
        batch_callables_.push_back(callable);
        batch_.push_back(std::move(item));
        return true;
      case Data::refused:
        answer(item, refuse(request, *std::move(why)), out);
        return true;
      case Data::coming:
      case Data::no_room:
        break;
    }
    return false;
  };
  while (!queued_.empty() && take(queued_.front())) queued_.pop_front();
  auto next = fresh.begin();
  for (; queued_.empty() && next != fresh.end(); ++next) {
    auto item = item_of(*next);
    if (!take(item)) queued_.push_back(std::move(item));
  }
  for (; next != fresh.end(); ++next) queued_.push_back(item_of(*next));
  if (!queued_.empty()) bring_ahead();
}

/// Runs that have not ended and that the request follows: mostly the latest.
std::uint32_t ChipState::add_depends(const TaskRequest& request) {
  const auto before = depends_.size();
  for (std::size_t i = flights_.size(); depends_.size() - before < request.depends.size() && i-- > 0;) {
    const auto& flight = flights_[i];
    if (flight.ended || !follows(request, flight.key)) continue;
    depends_.push_back(first_ + i);
  }
  return static_cast<std::uint32_t>(depends_.size() - before);
}

/// What the task, and the trace, ask for beside its arguments.
void ChipState::configure(troupe_run& run, const TaskBody& body) const {
  if (tracer_) {
    run.flags |= TROUPE_RUN_PROFILE;
    if (tracer_->dumps()) run.flags |= TROUPE_RUN_DUMP;
  }
  if (!body.extras) return;
  run.blocks = body.extras->blocks;
  if (!body.extras->config) return;
  const auto& config = *body.extras->config;
  run.block_dim = static_cast<std::uint32_t>(config.block_dim);
  run.control_threads = static_cast<std::uint32_t>(config.aicpu_thread_num);
  if (config.enable_profiling) run.flags |= TROUPE_RUN_PROFILE;
  if (config.enable_dump_tensor) run.flags |= TROUPE_RUN_DUMP;
}

/// The request as the device's next run; its arrays go behind those of the batch, which are large enough.
void ChipState::add_run(Item& item, std::uint64_t callable) {
  auto& request = item.request;
  const auto& args = arguments_of(*request.body, request.key.member);
  troupe_run run{};
  run.correlation = first_ + flights_.size();
  run.callable = callable;
  run.tensors = tensors_.data() + tensors_.size();
  run.tensor_count = static_cast<std::uint32_t>(args.tensors.size());
  for (std::size_t i = 0; i < args.tensors.size(); ++i) {
    const auto& arg = args.tensors[i];
    const auto* copy = copy_of(item, arg, i);
    // `bring` has found a place for those that stay at home.
    const auto address = copy != nullptr         ? copy->address
                         : arg.buffer != nullptr ? host_address_of(*arg.buffer)
                                                 : arg.tensor.buffer().offset;
    tensors_.push_back(argument_of(
        arg, address, copy != nullptr || (arg.buffer == nullptr && arg.tensor.buffer().arena != 0)));
    if (copy != nullptr && copy->piece.number != 0)
      move_into(tensors_.back(), *copy, arg.tensor.element_bytes());
  }
  run.scalars = args.scalars.data();
  run.scalar_count = static_cast<std::uint32_t>(args.scalars.size());
  run.scalar_kinds = args.kinds();
  run.depends_on = depends_.data() + depends_.size();
  run.depends_count = add_depends(request);
  run.name = request.body->name().data();  // of a string, or a literal: it ends in a null
  configure(run, *request.body);
  if (tracer_) tracer_->launched(run.correlation, *request.body, request.key);
  runs_.push_back(run);
  flights_.push_back({request.key, request.ticket, std::move(request.body), false, false, first_,
                      std::move(item.uses), std::move(request.memory)});
}

void ChipState::launch(std::vector<TaskRequest>& fresh, std::vector<TaskResult>& out) {
  const auto before = answered(out);
  launch_all(fresh, out);
  // Tasks that will not run write nothing: who waits for what they were to write gets what is there.
  if (answered(out) != before && !to_store_.empty()) serve_stores(false);
}

void ChipState::launch_all(std::vector<TaskRequest>& fresh, std::vector<TaskResult>& out) {
  std::vector<TaskRequest> none;
  for (auto* next = &fresh;; next = &none) {
    if (life_ != Life::ready) return;
    gather(*next, out);
    launch_batch(out);
    if (life_ != Life::ready || queued_.empty() || !queued_.front().request.body->callable->bundle) return;
    if (!launch_bundle(out)) return;
  }
}

void ChipState::launch_batch(std::vector<TaskResult>& out) {
  if (batch_.empty()) return;
  runs_.clear();
  tensors_.clear();
  depends_.clear();
  // The argument arrays get their final size before pointers are taken.
  const auto before = flights_.size();
  std::size_t tensor_count = 0, depends_count = 0;
  for (std::size_t i = 0; i < batch_.size(); ++i) {
    const auto& request = batch_[i].request;
    tensor_count += arguments_of(*request.body, request.key.member).tensors.size();
    depends_count += std::min(request.depends.size(), before + i);
  }
  tensors_.reserve(tensor_count);
  depends_.reserve(depends_count);
  runs_.reserve(batch_.size());
  for (std::size_t i = 0; i < batch_.size(); ++i) add_run(batch_[i], batch_callables_[i]);
  // What the oldest unfinished run may name has to stay known to the device: it has not looked yet how that
  // ended.
  if (auto launched = context().launch(runs_, flights_.front().names_from); launched) {
    in_flight_ += static_cast<std::uint32_t>(batch_.size());
  } else {
    take_back(launched.error(), out);
  }
  batch_.clear();
}

/// The device has refused the batch.
void ChipState::take_back(const Error& reason, std::vector<TaskResult>& out) {
  for (auto i = batch_.size(); i-- > 0; flights_.pop_back()) {
    batch_[i].request.body = std::move(flights_.back().body);
    batch_[i].request.memory = std::move(flights_.back().memory);
    batch_[i].uses = std::move(flights_.back().uses);
    batch_[i].uses.launched(false);
  }
  if (reason == platform::Errc::queue_full && in_flight_ > 0) {
    // The device is fuller than its credit says; completions will bring us back here.
    for (auto i = batch_.size(); i-- > 0;) queued_.push_front(std::move(batch_[i]));
    return;
  }
  (void)lost_by(reason);
  for (const auto& [request, uses, bundle] : batch_) {
    failures_.add(request.key);
    ++failed_;
    out.push_back(not_begun(request, life_ == Life::lost ? Outcome::lost : Outcome::failed, reason));
  }
}

}  // namespace troupe::actors
