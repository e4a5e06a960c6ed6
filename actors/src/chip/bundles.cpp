// Tasks of a plan on the device. To all others they are one task, which ends when the last of them has; what
// they pass to each other is known from the plan, so nothing is looked up or inferred here.
#include <algorithm>
#include <utility>

#include "chip/launch.hpp"
#include "chip/state.hpp"
#include "tasks.hpp"
#include "troupe/actors/errc.hpp"
#include "troupe/platform/errc.hpp"

namespace troupe::actors {

/// Who needs what a bundle makes is launched when all of it has ended.
bool ChipState::follows_bundle(const TaskRequest& request) const {
  return std::any_of(bundles_.begin(), bundles_.end(),
                     [&](const auto& run) { return follows(request, run->request.key); });
}

/// Launches what can go of the bundle that is next in the queue. True: it has left the queue.
bool ChipState::launch_bundle(std::vector<TaskResult>& out) {
  if (in_flight_ >= static_cast<std::uint32_t>(config_.credit)) return false;
  if (!queued_.front().bundle) {
    const auto before = answered(out);
    if (!begin_bundle(queued_.front(), out)) {
      if (answered(out) == before) return false;
      queued_.pop_front();
      return true;
    }
  }
  const auto run = queued_.front().bundle;
  while (!run->given_up && !run->all_launched() && in_flight_ < static_cast<std::uint32_t>(config_.credit)) {
    const auto before = run->next;
    if (run->graph != 0) {
      launch_graph(run);
    } else {
      launch_part(run);
    }
    if (run->next == before || life_ != Life::ready) break;
  }
  if (!run->given_up && !run->all_launched()) return false;
  queued_.pop_front();
  if (run->open == 0) end_bundle(run, out);
  return true;
}

/// False: it waits, or (then it has been answered) it will not run.
bool ChipState::begin_bundle(Item& item, std::vector<TaskResult>& out) {
  const auto& request = item.request;
  if (failures_.lead_to(request)) {
    failures_.add(request.key);
    answer(item, not_begun(request, Outcome::skipped), out);
    return false;
  }
  // Its tasks come after each other, not after others.
  const bool waits_for_others = std::any_of(flights_.begin(), flights_.end(), [&](const Flight& flight) {
    return !flight.ended && follows(request, flight.key);
  });
  if (waits_for_others) return false;
  const auto& bundle = *request.body->callable->bundle;
  bool waits = false;
  for (const auto& code : bundle.code) waits = order_links(*code.callable, code.owned) || waits;
  if (waits) return false;
  auto run = std::make_shared<BundleRun>();
  for (const auto& code : bundle.code) {
    const auto id = callable_id(*code.callable, code.owned);
    if (!id && lost_by(id.error())) return false;
    if (!id) {
      answer(item, refuse(request, id.error()), out);
      return false;
    }
    run->callables.push_back(*id);
  }
  if (auto refusal = check_memory(request)) {
    answer(item, *std::move(refusal), out);
    return false;
  }
  std::optional<Error> why;
  if (const auto data = bring(item, Room::make, why); data != Data::there) {
    if (data == Data::refused) answer(item, refuse(request, *std::move(why)), out);
    return false;
  }
  item.uses.launched(true);
  find_bases(item, *run);
  item.uses.take_effect();
  run->runs.resize(bundle.size());
  if (tracer_) {
    run->bodies.resize(bundle.size());
    run->began = tracer_->now();
  }
  if (!bundle.patches.empty()) {
    run->scalars = bundle.scalars;
    for (const auto& patch : bundle.patches)
      run->scalars[patch.scalar] = request.body->args.scalars[patch.argument];
  }
  run->uses = std::move(item.uses);
  run->request = request;
  run->graph = graph_of(*run);
  if (life_ != Life::ready) return false;
  item.bundle = run;
  bundles_.push_back(std::move(run));
  return true;
}

void ChipState::find_bases(const Item& item, BundleRun& run) {
  const auto& tensors = item.request.body->args.tensors;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto& operand = tensors[i];
    const auto* copy = copy_of(item, operand, i);
    auto& base = run.bases.emplace_back();
    base.address = copy != nullptr             ? copy->address
                   : operand.buffer != nullptr ? host_address_of(*operand.buffer)
                                               : operand.tensor.buffer().offset;
    base.buffer_bytes = operand.tensor.buffer_bytes();
    base.byte_offset = operand.tensor.byte_offset();
    base.on_chip = copy != nullptr || (operand.buffer == nullptr && operand.tensor.buffer().arena != 0);
    base.left_alone = base.on_chip && operand.buffer != nullptr;
    base.piece = copy != nullptr && copy->piece.number != 0 ? copy : nullptr;
  }
}

/// Whether the task needs what another was to make that did not end well.
bool ChipState::is_spoilt(const BundleRun& run, std::uint32_t task) const {
  if (run.bad.empty()) return false;
  const auto producers = run.bundle().producers_of(task);
  return std::any_of(producers.begin(), producers.end(),
                     [&](std::uint32_t producer) { return run.bad[producer]; });
}

/// The next task as a run of the device; where its lists lie is said when all of them are there.
void ChipState::add_bundle_run(const std::shared_ptr<BundleRun>& self, std::uint32_t number) {
  auto& run = *self;
  const auto& bundle = run.bundle();
  const auto& task = bundle.tasks[number];
  const auto& end = bundle.tasks[number + 1];
  troupe_run one{};
  one.correlation = first_ + flights_.size();
  one.callable = run.callables[task.callable];
  constexpr auto tags = (std::uint32_t{1} << Bundle::tag_bits) - 1;
  for (const auto packed : bundle.tensors_of(number)) {
    const auto& view = bundle.views[packed >> Bundle::tag_bits];
    const auto& layout = bundle.layouts[view.layout];
    const auto& base = run.bases[view.argument];
    auto& slot = tensors_.emplace_back();
    const auto element = std::max<std::size_t>(runtime::size_of(layout.dtype), 1);
    slot.buffer = base.address;
    slot.buffer_bytes = base.buffer_bytes;
    slot.start_offset = (base.byte_offset + view.offset) / element;
    slot.ndims = layout.dims;
    std::copy(layout.shape.begin(), layout.shape.end(), slot.shape);
    std::copy(layout.strides.begin(), layout.strides.end(), slot.strides);
    slot.dtype = static_cast<std::uint8_t>(layout.dtype);
    slot.tag = static_cast<std::uint8_t>(packed & tags);
    slot.address_space = base.on_chip ? TROUPE_SPACE_DEVICE : TROUPE_SPACE_HOST;
    if (base.left_alone) slot.flags = TROUPE_TENSOR_LEFT_ALONE;
    if (base.piece != nullptr) move_into(slot, *base.piece, element);
  }
  one.tensor_count = end.tensors - task.tensors;
  one.scalars = (run.scalars.empty() ? bundle.scalars.data() : run.scalars.data()) + task.scalars;
  one.scalar_kinds = bundle.scalar_kinds.data() + task.scalars;
  one.scalar_count = end.scalars - task.scalars;
  const auto before = depends_.size();
  for (const auto producer : bundle.producers_of(number)) {
    const auto correlation = run.runs[producer];
    if (correlation >= first_ && !flights_[correlation - first_].ended) depends_.push_back(correlation);
  }
  one.depends_count = static_cast<std::uint32_t>(depends_.size() - before);
  one.name = bundle.name_of(number).data();  // of a string, so it ends in a null
  if (tracer_ || task.option != 0) {
    TaskBody plain;
    if (task.option != 0) {
      plain.extras = std::make_shared<SubmitExtras>();
      plain.extras->blocks = bundle.options[task.option - 1U].blocks;
      plain.extras->config = bundle.options[task.option - 1U].config;
    }
    configure(one, plain);
  }
  if (tracer_) {
    run.bodies[number] = traced_part(run, number);
    tracer_->launched(one.correlation, *run.bodies[number], run.request.key);
  }
  runs_.push_back(one);
  run.runs[number] = one.correlation;
  Flight& flight = flights_.emplace_back();
  flight.key = run.request.key;
  flight.ticket = run.request.ticket;
  flight.names_from = first_;
  flight.bundle = self;
  flight.task = number;
}

/// As many of its tasks as there is room for, in one launch.
void ChipState::launch_part(const std::shared_ptr<BundleRun>& self) {
  auto& run = *self;
  runs_.clear();
  tensors_.clear();
  depends_.clear();
  const auto from = run.next;
  while (!run.all_launched() && in_flight_ + runs_.size() < static_cast<std::size_t>(config_.credit)) {
    if (is_spoilt(run, run.next)) {
      run.bad[run.next] = true;
    } else {
      add_bundle_run(self, run.next);
    }
    ++run.next;
  }
  std::size_t tensors = 0, depends = 0;
  for (auto& one : runs_) {
    one.tensors = tensors_.data() + std::exchange(tensors, tensors + one.tensor_count);
    one.depends_on = depends_.data() + std::exchange(depends, depends + one.depends_count);
  }
  if (runs_.empty()) return;
  const auto launched = context().launch(runs_, flights_.front().names_from);
  if (launched) {
    in_flight_ += static_cast<std::uint32_t>(runs_.size());
    run.open += static_cast<std::uint32_t>(runs_.size());
    return;
  }
  for (std::size_t i = 0; i < runs_.size(); ++i) flights_.pop_back();
  for (auto task = from; task < run.next; ++task) run.runs[task] = 0;
  run.next = from;
  // The device is fuller than its credit says; completions will bring us back here.
  if (launched.error() == platform::Errc::queue_full && in_flight_ > 0) return;
  (void)lost_by(launched.error());
  if (!run.error) run.error = launched.error();
  run.given_up = true;
}

void ChipState::bundle_task_ended(Flight& flight, const DeviceDone::One& end, std::vector<TaskResult>& out) {
  const auto run = std::exchange(flight.bundle, nullptr);
  const auto task = flight.task;
  flight.ended = true;
  --in_flight_;
  --run->open;
  const bool well = end.code == 0;
  if (task == Flight::whole) {
    graph_ended(*run, end);
  } else {
    ++(well ? completed_ : failed_);
  }
  const auto started = static_cast<std::int64_t>(end.started);
  if (run->last == 0 || started < run->first) run->first = started;
  run->last = std::max(run->last, static_cast<std::int64_t>(end.finished));
  std::optional<Error> error;
  if (!well && task != Flight::whole) error = platform::device_error(end.code, end.message);
  if (tracer_ && task != Flight::whole && run->bodies[task]) {
    tracer_->ended(end.correlation, *run->bodies[task], run->request.key, end.started, end.finished,
                   error ? &*error : nullptr);
  }
  if (!well && end.code == TROUPE_DEVICE_LOST) {
    life_ = Life::lost;
    how_lost_ = end.message;
  }
  if (error) {
    if (run->bad.empty()) run->bad.resize(run->bundle().size());
    run->bad[task] = true;
    // The others only follow from the first; what was asked to end has not failed.
    const bool follows =
        end.code == TROUPE_DEVICE_POISONED || (end.code == TROUPE_DEVICE_ABORTED && run->given_up);
    if (!follows && !run->error) {
      run->error = Error(error->code(),
                         "its task \"" + std::string(run->bundle().name_of(task)) + "\" (number " +
                             std::to_string(task) + " of " + std::to_string(run->bundle().size()) +
                             ") failed: " + error->message(),
                         error->hint())
                       .caused_by(*error);
    }
  }
  if (run->open == 0 && (run->all_launched() || run->given_up)) {
    if (!queued_.empty() && queued_.front().bundle == run) queued_.pop_front();
    end_bundle(run, out);
  }
}

/// Nothing of it is on the device any more.
void ChipState::end_bundle(const std::shared_ptr<BundleRun>& run, std::vector<TaskResult>& out) {
  if (std::erase(bundles_, run) == 0) return;
  const auto& request = run->request;
  TaskResult result{request.key, request.ticket, -1, Outcome::done, std::nullopt};
  result.inside = run->bundle().size() - 1;
  result.began = run->first;
  result.ended = run->last;
  if (run->error || run->given_up) {
    failures_.add(request.key);
    result.outcome = life_ == Life::lost ? Outcome::lost : run->error ? Outcome::failed : Outcome::cancelled;
    result.error = run->error;
  }
  if (tracer_) tracer_->ran(*request.body, request.key, run->began, result.error ? &*result.error : nullptr);
  run->uses.end();
  out.push_back(std::move(result));
}

/// The task with all that a trace says of one.
TaskBodyRef ChipState::traced_part(const BundleRun& run, std::uint32_t number) const {
  const auto& bundle = run.bundle();
  const auto& whole = *run.request.body;
  auto body = std::make_shared<TaskBody>();
  body->callable = bundle.code[bundle.tasks[number].callable].callable;
  body->extras = std::make_shared<SubmitExtras>();
  body->extras->name = bundle.name_of(number);
  for (const auto packed : bundle.tensors_of(number))
    body->args.tensors.push_back(bundle.operand(packed, whole.args));
  std::vector<TaskId> producers;
  for (const auto producer : bundle.producers_of(number)) {
    if (run.bodies[producer] && run.bodies[producer]->trace)
      producers.push_back(run.bodies[producer]->trace->task);
  }
  tracer_->part_of(whole, *body, producers);
  return body;
}

}  // namespace troupe::actors
