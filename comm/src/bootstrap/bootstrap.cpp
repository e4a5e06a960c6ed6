#include "troupe/comm/bootstrap.hpp"

#include <algorithm>
#include <cerrno>
#include <exception>
#include <new>
#include <optional>
#include <utility>
#include <vector>

#include "troupe/comm/errc.hpp"
#include "troupe/comm/threads_hint.hpp"
#include "troupe/runtime/thrown.hpp"

namespace troupe::comm {

BootstrapCommunicator::~BootstrapCommunicator() = default;
BootstrapDevice::~BootstrapDevice() = default;

namespace {

constexpr std::int32_t failure_code = 1;
/// Staging goes through a buffer of this size rather than a mapping: a file that shrinks meanwhile is then an
/// error and not a SIGBUS.
constexpr std::size_t bounce_bytes = std::size_t{1} << 20;

/// An error of a device or communicator, in the form of the reference, with its own code kept.
Error runtime_error(const std::string& step, const Error& cause) {
  return Error(cause.code(), "RuntimeError: " + step + ": " + cause.message(), cause.hint()).caused_by(cause);
}

/// Runs a step of foreign code: nothing it throws gets further.
template <class Step>
auto guarded(const std::string& name, Step step) -> decltype(step()) {
  try {
    auto result = step();
    if (!result) return runtime_error(name, result.error());
    return result;
  } catch (const Error& error) {
    return runtime_error(name, error);
  } catch (const std::bad_alloc&) {
    return Error(Errc::no_memory, "MemoryError: " + name + ": out of memory", limit_hint(ENOMEM));
  } catch (const std::exception& error) {
    return Error(Errc::chip_failed, "RuntimeError: " + name + ": " + runtime::text_of(error));
  } catch (...) {
    return Error(Errc::chip_failed, "RuntimeError: " + name + ": unknown exception");
  }
}

/// One buffer and the shared memory on its two sides.
struct StagedBuffer {
  std::optional<HostSegment> input, output;
};

Result<std::optional<HostSegment>> attach(const Result<HostBufferStaging>& staging, const char* list) {
  if (!staging) return staging.error();
  if (staging->size == 0) return std::optional<HostSegment>();
  auto segment = HostSegment::attach(staging->shm_name, staging->size);
  if (!segment) {
    const char* type = segment.error() == Errc::not_found ? "FileNotFoundError: " : "ValueError: ";
    return Error(segment.error().code(),
                 type + std::string(list) + " '" + staging->name + "': " + segment.error().message(),
                 segment.error().hint());
  }
  return std::optional(std::move(*segment));
}

}  // namespace

struct ChipBootstrap::Impl {
  Impl(BootstrapDevice& chip, int id, ChipBootstrapConfig wanted)
      : device(chip), device_id(id), config(std::move(wanted)) {}

  Result<void> bring_up();
  Result<void> attach_staging();
  Result<void> join();
  Result<void> carve(const std::vector<std::uint64_t>& offsets);
  Result<void> load(std::size_t buffer);
  Result<void> store(std::size_t buffer);

  BootstrapDevice& device;
  int device_id;
  ChipBootstrapConfig config;
  ChipBootstrapResult result;
  std::vector<StagedBuffer> staged;
  std::unique_ptr<BootstrapCommunicator> communicator;
};

Result<void> ChipBootstrap::Impl::bring_up() {
  auto offsets = validate(config);
  if (!offsets) return offsets.error();
  if (auto attached = attach_staging(); !attached) return attached;
  auto set =
      guarded("set_device(" + std::to_string(device_id) + ")", [&] { return device.set_device(device_id); });
  if (!set) return set;
  if (!config.comm) return {};
  // From here on peers may depend on this rank.
  if (auto joined = join(); !joined) return joined;
  if (auto carved = carve(*offsets); !carved) return carved;
  for (std::size_t i = 0; i < config.buffers.size(); ++i) {
    if (auto loaded = load(i); !loaded) return loaded;
  }
  return {};
}

Result<void> ChipBootstrap::Impl::attach_staging() {
  staged.resize(config.buffers.size());
  for (std::size_t i = 0; i < config.buffers.size(); ++i) {
    const ChipBufferSpec& buffer = config.buffers[i];
    if (buffer.load_from_host) {
      auto segment = attach(config.input_staging(buffer.name), "host_inputs");
      if (!segment) return segment.error();
      staged[i].input = std::move(*segment);
    }
    if (buffer.store_to_host) {
      auto segment = attach(config.output_staging(buffer.name), "host_outputs");
      if (!segment) return segment.error();
      staged[i].output = std::move(*segment);
    }
  }
  return {};
}

Result<void> ChipBootstrap::Impl::join() {
  auto made = guarded("comm_init", [&] { return device.communicator(*config.comm); });
  if (!made) return made.error();
  communicator = std::move(*made);
  if (communicator == nullptr) return Error(Errc::chip_failed, "RuntimeError: comm_init: no communicator");
  auto context =
      guarded("comm_alloc_windows", [&] { return communicator->alloc_windows(config.comm->window_size); });
  if (!context) return context.error();
  auto base = guarded("comm_get_local_window_base", [&] { return communicator->local_window_base(); });
  if (!base) return base.error();
  auto size = guarded("comm_get_window_size", [&] { return communicator->window_size(); });
  if (!size) return size.error();
  result.device_ctx = *context;
  result.local_window_base = *base;
  result.actual_window_size = *size;
  return {};
}

Result<void> ChipBootstrap::Impl::carve(const std::vector<std::uint64_t>& offsets) {
  for (std::size_t i = 0; i < offsets.size(); ++i) {
    const ChipBufferSpec& buffer = config.buffers[i];
    // The offsets fit the window that was asked for; the one that was given may be smaller.
    if (offsets[i] > result.actual_window_size || buffer.nbytes > result.actual_window_size - offsets[i]) {
      return Error(Errc::bad_config,
                   "ValueError: buffer '" + buffer.name + "' (nbytes=" + std::to_string(buffer.nbytes) +
                       ") at offset=" + std::to_string(offsets[i]) + " overflows window size " +
                       std::to_string(result.actual_window_size));
    }
    result.buffer_ptrs.push_back(result.local_window_base + offsets[i]);
  }
  return {};
}

Result<void> ChipBootstrap::Impl::load(std::size_t buffer) {
  const auto& input = staged[buffer].input;
  if (!input) return {};
  std::vector<std::byte> bounce(std::min<std::uint64_t>(bounce_bytes, input->size()));
  for (std::uint64_t at = 0; at < input->size(); at += bounce.size()) {
    const std::span piece(bounce.data(), std::min<std::uint64_t>(bounce.size(), input->size() - at));
    auto copied = guarded("loading '" + config.buffers[buffer].name + "'", [&]() -> Result<void> {
      if (auto read = input->read(at, piece); !read) return read;
      return device.copy_to(result.buffer_ptrs[buffer] + at, piece.data(), piece.size());
    });
    if (!copied) return copied;
  }
  return {};
}

Result<void> ChipBootstrap::Impl::store(std::size_t buffer) {
  const auto& output = staged[buffer].output;
  if (!output) return {};
  std::vector<std::byte> bounce(std::min<std::uint64_t>(bounce_bytes, output->size()));
  for (std::uint64_t at = 0; at < output->size(); at += bounce.size()) {
    const std::span piece(bounce.data(), std::min<std::uint64_t>(bounce.size(), output->size() - at));
    auto copied = guarded("storing '" + config.buffers[buffer].name + "'", [&]() -> Result<void> {
      if (auto read = device.copy_from(piece.data(), result.buffer_ptrs[buffer] + at, piece.size()); !read) {
        return read;
      }
      return output->write(at, piece);
    });
    if (!copied) return copied;
  }
  return {};
}

ChipBootstrap::ChipBootstrap(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
ChipBootstrap::ChipBootstrap(ChipBootstrap&&) noexcept = default;
ChipBootstrap& ChipBootstrap::operator=(ChipBootstrap&&) noexcept = default;
ChipBootstrap::~ChipBootstrap() = default;

Result<ChipBootstrap> ChipBootstrap::run(BootstrapDevice& device, int device_id, ChipBootstrapConfig config) {
  auto impl = std::make_unique<Impl>(device, device_id, std::move(config));
  // A failure drops `impl`, and with it the communicator and the segments acquired so far.
  if (auto up = impl->bring_up(); !up) return up.error();
  return ChipBootstrap(std::move(impl));
}

Result<ChipBootstrap> ChipBootstrap::run(BootstrapDevice& device, int device_id, ChipBootstrapConfig config,
                                         BootstrapWriter& channel) {
  const bool fits = config.buffers.size() <= bootstrap_max_buffers;
  Result<ChipBootstrap> chip =
      fits ? run(device, device_id, std::move(config))
           : Error(Errc::bad_config, "ValueError: " + std::to_string(config.buffers.size()) +
                                         " buffers, a bootstrap channel carries " +
                                         std::to_string(bootstrap_max_buffers));
  auto reported =
      chip ? channel.success(chip->result()) : channel.error(failure_code, chip.error().message());
  if (chip && !reported) {
    return reported.error();
  }
  return chip;
}

const ChipBootstrapResult& ChipBootstrap::result() const noexcept { return impl_->result; }
const ChipBootstrapConfig& ChipBootstrap::config() const noexcept { return impl_->config; }

ChipContext ChipBootstrap::context() const {
  return chip_context(impl_->device_id, impl_->config, impl_->result).value();
}

Result<void> ChipBootstrap::store_to_host() {
  Result<void> first;
  for (std::size_t i = 0; i < impl_->staged.size(); ++i) {
    if (auto stored = impl_->store(i); !stored && first) first = stored;
  }
  return first;
}

Result<void> ChipBootstrap::store_to_host(std::string_view name) {
  for (std::size_t i = 0; i < impl_->staged.size(); ++i) {
    const ChipBufferSpec& buffer = impl_->config.buffers[i];
    if (buffer.name == name && buffer.store_to_host) return impl_->store(i);
  }
  return Error(Errc::bad_config, "KeyError: no buffer '" + std::string(name) + "' is stored to the host",
               "shut down already, or store_to_host is not set");
}

Result<void> ChipBootstrap::shutdown() {
  Result<void> first = store_to_host();
  impl_->staged.clear();
  if (impl_->communicator != nullptr) {
    // Given up before it is destroyed: a second shutdown finds nothing, whatever happens here.
    const auto communicator = std::move(impl_->communicator);
    auto destroyed = guarded("comm_destroy", [&] { return communicator->destroy(); });
    if (!destroyed && first) first = destroyed;
  }
  return first;
}

}  // namespace troupe::comm
