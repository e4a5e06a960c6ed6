// The life of a chip, and how what was launched comes back.
#include <algorithm>
#include <charconv>

#include "chip/state.hpp"
#include "tasks.hpp"

#include "threads/threads.hpp"
#include "troupe/actors/errc.hpp"
#include "troupe/platform/device_library.hpp"
#include "troupe/runtime/thrown.hpp"

namespace troupe::actors {
namespace {

/// The user's factory, or the platform's library.
Result<platform::DeviceApi> load(const ChipConfig& config, std::uint32_t incarnation) {
  if (config.device) {
    try {
      return config.device(incarnation);
    } catch (const Error& error) {
      return error;
    } catch (...) {
      return Error(Errc::bootstrap_failed,
                   "the device's factory threw: " + runtime::text_of(std::current_exception()));
    }
  }
  auto library = platform::DeviceLibrary::open(config.platform);
  if (!library) return library.error();
  return library->api();
}

/// `chips`: how many its node has. Where there are fewer devices they share them, if the platform can do
/// that; where it cannot, set_device says why.
void share_devices(platform::DeviceContext& context, const std::string& chips) {
  const auto properties = context.properties();
  if (!properties || properties->device_count == 0) return;
  std::uint64_t wanted = 0;
  std::from_chars(chips.data(), chips.data() + chips.size(), wanted);
  if (wanted > properties->device_count) (void)context.set_option("chips", chips);
}

}  // namespace

ChipState::ChipState(ChipConfig config, ChipIdentity identity, std::shared_ptr<platform::Host> host,
                     std::shared_ptr<ChipTracer> tracer, std::shared_ptr<const CallableRegistry> node)
    : config_(std::move(config)),
      identity_(std::move(identity)),
      host_(std::move(host)),
      tracer_(std::move(tracer)),
      node_(std::move(node)),
      failures_(2 * static_cast<std::size_t>(config_.credit)) {}

Error ChipState::wrong_state(std::string_view call) const {
  const std::string what(call);
  switch (life_) {
    case Life::created:
      return {Errc::wrong_state, identity_.name + ": " + what + ": device not set",
              "bring the chip up first"};
    case Life::ready:
      return {Errc::wrong_state, identity_.name + ": " + what + ": device already set",
              "reset the chip first"};
    case Life::finalized:
      return {Errc::wrong_state, identity_.name + ": " + what + ": already finalized",
              "a finalized chip stays finalized; make a new one"};
    case Life::lost:
      break;
  }
  return {Errc::chip_lost, identity_.name + ": " + what + ": the device is lost"};
}

OpenedDevice open_device(const ChipConfig& config, std::uint32_t incarnation,
                         std::shared_ptr<platform::Host> host, platform::ContextEvents events) {
  OpenedDevice opened;
  auto failed = [&](const Error& error) {
    opened.error = error;
    opened.context.reset();
    return std::move(opened);
  };
  auto api = load(config, incarnation);
  if (!api) return failed(api.error());
  auto made = platform::DeviceContext::create(*std::move(api), std::move(host), std::move(events));
  if (!made) return failed(made.error());
  opened.context.emplace(*std::move(made));
  for (const auto& [name, value] : config.options) {
    if (name == "chips") {
      share_devices(*opened.context, value);
      continue;
    }
    if (auto set = opened.context->set_option(name, value); !set) return failed(set.error());
  }
  if (auto set = opened.context->set_device(static_cast<std::int32_t>(config.device_id)); !set)
    return failed(set.error());
  auto properties = opened.context->properties();
  if (!properties) return failed(properties.error());
  opened.properties = *properties;
  return opened;
}

Result<std::uint64_t> register_object(platform::DeviceContext& context, const std::string& name,
                                      std::span<const std::uint8_t> bytes, CoreKind core_kind) {
  troupe_callable foreign{};
  foreign.name = name.c_str();
  foreign.bytes = bytes.data();
  foreign.byte_count = bytes.size();
  foreign.core_kind = static_cast<std::uint32_t>(core_kind);
  return context.register_callable(foreign);
}

Result<bool> ChipState::may_bring_up() const {
  if (life_ != Life::created) return wrong_state("bring_up");
  return true;
}

Result<ExecutorInfo> ChipState::adopt(OpenedDevice& device) {
  if (life_ != Life::created) return wrong_state("bring_up");
  if (device.error) return *device.error;
  device_ = std::make_shared<DeviceInUse>(*std::exchange(device.context, std::nullopt));
  properties_ = device.properties;
  life_ = Life::ready;
  return describe();
}

void ChipState::forget() {
  callables_.clear();
  queued_.clear();
  later_.clear();
  bundles_.clear();
  graphs_.clear();
  first_ += flights_.size();
  flights_.clear();
  copies_.clear();
  moves_.clear();
  moving_ = 0;
  lent_ = 0;
  to_store_.clear();
  stored_.clear();
  wanted_room_.clear();
  asked_ = 0;
  data_task_running_.reset();
  failures_.clear();
  busy_.clear();
  large_.clear();
  quick_windows_.clear();
  links_.clear();
  learned_ = 0;
  to_unlink_.clear();
  in_flight_ = 0;
}

/// A checked device tells of memory that its user forgot, and this is not the user's. Others give all memory
/// back by themselves, at once.
void ChipState::leave_copies() {
  const bool checked = std::any_of(config_.options.begin(), config_.options.end(), [](const auto& option) {
    return option.first == "checked" && option.second != "0";
  });
  if (device_ && checked && !config_.own_process && !config_.remote) device_->copies = copies_.addresses();
}

std::shared_ptr<DeviceInUse> ChipState::reset(std::uint32_t incarnation) {
  leave_copies();
  forget();
  identity_.incarnation = incarnation;
  if (life_ != Life::finalized) life_ = Life::created;
  return std::exchange(device_, nullptr);
}

std::shared_ptr<DeviceInUse> ChipState::take_context() {
  leave_copies();
  life_ = Life::finalized;
  return std::exchange(device_, nullptr);
}

TaskResult ChipState::finish(Flight& flight, const DeviceDone::One& end) {
  TaskResult result{flight.key, flight.ticket, -1, Outcome::done, std::nullopt};
  result.began = static_cast<std::int64_t>(end.started);
  result.ended = static_cast<std::int64_t>(end.finished);
  flight.ended = true;
  flight.uses.end();
  flight.memory.reset();
  const auto body = std::move(flight.body);
  --in_flight_;
  if (end.code != 0) result.error = platform::device_error(end.code, end.message);
  if (tracer_) {
    tracer_->ended(end.correlation, *body, flight.key, end.started, end.finished,
                   result.error ? &*result.error : nullptr);
  }
  ++(end.code == 0 ? completed_ : failed_);
  if (end.code == 0) return result;
  failures_.add(flight.key);
  result.error = platform::device_error(end.code, end.message);
  switch (end.code) {
    case TROUPE_DEVICE_POISONED:
      result.outcome = Outcome::skipped;
      result.error.reset();
      break;
    case TROUPE_DEVICE_ABORTED:
      result.outcome = Outcome::cancelled;
      break;
    case TROUPE_DEVICE_LOST:
      result.outcome = Outcome::lost;
      life_ = Life::lost;
      how_lost_ = end.message;
      break;
    default:
      result.outcome = Outcome::failed;
  }
  return result;
}

std::vector<TaskResult> ChipState::ended(const DeviceDone& done) {
  std::vector<TaskResult> out;
  out.reserve(done.ends.size());
  for (const auto& end : done.ends) {
    if (end.correlation < first_ || end.correlation - first_ >= flights_.size()) continue;
    auto& flight = flights_[end.correlation - first_];
    if (flight.ended) continue;
    flight.bundle ? bundle_task_ended(flight, end, out) : out.push_back(finish(flight, end));
  }
  while (!flights_.empty() && flights_.front().ended) {
    flights_.pop_front();
    ++first_;
  }
  if (!to_store_.empty()) serve_stores(false);
  launch_queued(out);
  free_surplus(copies_.take_surplus());
  return out;
}

std::vector<TaskResult> ChipState::cancel(const Cancel& cancel) {
  std::vector<TaskResult> out;
  const auto meant = [&](const Item& item) {
    const auto& key = item.request.key;
    return is_meant(key, cancel) && !(key == data_task_running_);
  };
  take_from_queue(meant, [&](Item& item) {
    failures_.add(item.request.key);
    if (!item.bundle) answer(item, not_begun(item.request, Outcome::cancelled), out);  // else below
  });
  for (std::size_t i = 0; i < flights_.size(); ++i) {
    if (flights_[i].ended || !is_meant(flights_[i].key, cancel)) continue;
    // An abort of a run that has just ended is fine; its completion is on the way.
    if (device_) (void)context().abort(first_ + i);
    flights_[i].asked = true;
  }
  for (const auto& run : std::vector(bundles_)) {
    if (!is_meant(run->request.key, cancel)) continue;
    run->given_up = true;
    if (run->open == 0) end_bundle(run, out);
  }
  if (!to_store_.empty()) serve_stores(false);
  return out;
}

/// Of a task that was next, or is not to run. Its run may end with the answer, and then memory that was lent
/// to it is its owner's again: not while a thread copies out of it. Answers of one run stay in their order.
void ChipState::answer(Item& item, TaskResult result, std::vector<TaskResult>& out) {
  const bool behind = std::any_of(later_.begin(), later_.end(),
                                  [&](const Later& later) { return later.result.key.run == result.key.run; });
  if (behind || reads_what_is_lent(item)) {
    later_.push_back({std::move(item), std::move(result)});
  } else {
    out.push_back(std::move(result));
  }
}

bool ChipState::reads_what_is_lent(const Item& item) {
  const auto& tensors = arguments_of(*item.request.body, item.request.key.member).tensors;
  const auto& uses = item.uses.all();
  return std::any_of(uses.begin(), uses.end(), [&](const CopyUse& use) {
    return use.copy->state == Copy::State::coming &&
           tensors[use.argument].buffer->kind() == Buffer::Kind::borrowed;
  });
}

void ChipState::answer_later_ones(std::vector<TaskResult>& out) {
  std::vector<RunId> waiting;
  for (const auto& later : later_) {
    if (reads_what_is_lent(later.item)) waiting.push_back(later.result.key.run);
  }
  std::erase_if(later_, [&](Later& later) {
    if (std::find(waiting.begin(), waiting.end(), later.result.key.run) != waiting.end()) return false;
    out.push_back(std::move(later.result));
    return true;
  });
}

std::uint64_t ChipState::asked_to_end() const {
  for (std::size_t i = flights_.size(); i-- > 0;) {
    if (flights_[i].asked && !flights_[i].ended) return first_ + i;
  }
  return 0;
}

std::optional<Error> ChipState::does_not_end(std::uint64_t number) const {
  const auto device = device_ ? context().status() : Error(Errc::wrong_state, "no device");
  const Flight* late = nullptr;
  std::string where;
  bool others = false;
  for (std::size_t i = 0; i < flights_.size(); ++i) {
    const auto& flight = flights_[i];
    if (flight.ended) continue;
    const bool overdue = flight.asked && first_ + i <= number;
    if (overdue && late == nullptr) late = &flight;
    if (!device) continue;
    for (const auto& core : device->busy) {
      if (core.correlation != first_ + i) continue;
      if (!overdue) others = true;
      if (overdue && where.empty()) {
        late = &flight;
        where = " (kernel " + std::string(core.name) + ")";
      }
    }
  }
  // Nothing overtakes on a device: what waits behind somebody else's kernel may have to wait on.
  if (late == nullptr || (where.empty() && others)) return std::nullopt;
  return Error(Errc::chip_lost,
               "\"" + std::string(late->name()) + "\" was given up and does not return" + where,
               config_.own_process
                   ? "the chip's process is ended, and another one takes its place"
                   : "the chip is in quarantine: its threads and memory stay until the kernel returns");
}

std::vector<TaskResult> ChipState::abandon(const Error& reason) {
  std::vector<TaskResult> out;
  for (auto& flight : flights_) {
    if (!flight.ended && !flight.bundle)
      out.push_back({flight.key, flight.ticket, -1, Outcome::lost, reason});
  }
  for (const auto& run : bundles_)
    out.push_back({run->request.key, run->request.ticket, -1, Outcome::lost, reason});
  for (const auto& item : queued_) {
    if (!item.bundle) out.push_back(not_begun(item.request, Outcome::lost, reason));
  }
  for (auto& later : std::exchange(later_, {})) out.push_back(std::move(later.result));
  flights_.clear();
  queued_.clear();
  bundles_.clear();
  in_flight_ = 0;
  return out;
}

}  // namespace troupe::actors
