#include "device/queued_chip.hpp"

#include <string>
#include <utility>

#include "troupe/platform/errc.hpp"

namespace troupe::platform::queued {

Result<void> Options::set(std::string_view name, std::string_view value, std::uint64_t memory,
                          std::uint32_t most_lanes) {
  const GivenOption option(name, value);
  if (name != "lanes") {
    const auto known = ChipOptions::set(option, memory);
    if (!known) return known.error();
    if (*known) return {};
    return option.unknown({"lanes", "chips"});
  }
  const auto given = option.number(0, most_lanes, "0.." + std::to_string(most_lanes));
  if (!given) return given.error();
  lanes = static_cast<std::uint32_t>(*given);
  return {};
}

QueuedChip::QueuedChip(HostServices& host, const Options& options, std::int32_t number,
                       const DeviceFacts& facts, std::unique_ptr<Driver> driver)
    : number_(number),
      grace_(options.grace),
      driver_(std::move(driver)),
      memory_(options.memory_bytes != 0 ? options.memory_bytes : facts.memory_bytes, *this),
      callables_(
          [this](std::string_view name, std::span<const std::byte> bytes) { return load_bytes(name, bytes); },
          [this](const troupe_module_v1& module, const troupe_callable_v1& callable) {
            return load_module(module, callable);
          }),
      threads_(host),
      engine_({host, threads_, callables_, memory_, *driver_},
              options.lanes != 0 ? options.lanes : facts.lanes, facts.together) {}

QueuedChip::~QueuedChip() {
  if (calls_queue_ != Queue{}) driver_->close_queue(calls_queue_);
}

Result<std::shared_ptr<Chip>> QueuedChip::open(HostServices& host, const Options& options,
                                               std::int32_t number, const DeviceFacts& facts,
                                               std::unique_ptr<Driver> driver) {
  const std::shared_ptr<QueuedChip> chip(new QueuedChip(host, options, number, facts, std::move(driver)));
  auto queue = chip->driver_->open_queue();
  if (!queue) return queue.error();
  chip->calls_queue_ = *queue;
  if (auto opened = chip->engine_.open(); !opened) return opened.error();
  return std::shared_ptr<Chip>(chip);
}

Result<void> QueuedChip::copy_and_wait(const Copy& copy) {
  const auto begun = [&] {
    const std::lock_guard lock(calls_);
    return noted(driver_->copy(calls_queue_, copy, {}));
  }();
  if (!begun) return begun.error();
  auto ended = noted(driver_->wait(*begun));
  driver_->release(*begun);
  return ended;
}

Result<void> QueuedChip::write(std::uint64_t address, const void* data, std::uint64_t size) {
  if (auto inside = memory_.check(address, size, "destination"); !inside) return inside;
  return copy_and_wait({Copy::Way::to_device, address, reinterpret_cast<std::uintptr_t>(data), size});
}

Result<void> QueuedChip::read(void* target, std::uint64_t address, std::uint64_t size) {
  if (auto inside = memory_.check(address, size, "source"); !inside) return inside;
  return copy_and_wait({Copy::Way::from_device, reinterpret_cast<std::uintptr_t>(target), address, size});
}

Result<void> QueuedChip::release(std::uint64_t address) {
  if (address == 0) return {};
  std::string user;
  engine_.unfinished().for_each([&](const Flight& flight) {
    const Run& run = *flight.run;
    for (const auto& tensor : run.tensors) {
      const bool uses = tensor.address_space == TROUPE_SPACE_DEVICE && tensor.buffer >= address &&
                        memory_.same_allocation(address, tensor.buffer);
      if (uses && run.callable != nullptr) user = run.callable->name;
    }
  });
  if (user.empty()) return memory_.release(address);
  return Error(Errc::busy, "an unfinished run of '" + user + "' uses this memory",
               "free it after the run's completion");
}

Result<std::unique_ptr<LoadedCode>> QueuedChip::load_bytes(std::string_view name,
                                                           std::span<const std::byte> bytes) {
  auto program = noted(driver_->load({.name = name, .format = 0, .bytes = bytes}));
  if (!program) return program.error();
  auto loaded = std::make_shared<LoadedProgram>(*driver_, *program);
  auto function = noted(driver_->find(*program, "kernel_entry"));
  if (!function) {
    return Error(Errc::bad_callable, "'" + std::string(name) + "' has no kernel 'kernel_entry'",
                 "a kernel from bytes is a function kernel_entry, which takes the address of its 50 words")
        .caused_by(function.error());
  }
  return std::unique_ptr<LoadedCode>(new DeviceKernel(*driver_, std::move(loaded), *function, false));
}

Result<std::shared_ptr<LoadedProgram>> QueuedChip::program_of(const troupe_device_image_v1& image) {
  if (auto known = programs_[&image].lock(); known != nullptr) return known;
  auto program =
      noted(driver_->load({.name = image.source != nullptr ? image.source : "an image",
                           .format = image.format,
                           .bytes = {static_cast<const std::byte*>(image.bytes), image.byte_count}}));
  if (!program) return program.error();
  auto loaded = std::make_shared<LoadedProgram>(*driver_, *program);
  programs_[&image] = loaded;
  return loaded;
}

Result<std::unique_ptr<LoadedCode>> QueuedChip::load_module(const troupe_module_v1& module,
                                                            const troupe_callable_v1& callable) {
  const std::string what = "'" + std::string(callable.name) + "' of module '" + module.name + "'";
  if (callable.kind != TROUPE_CALLABLE_KERNEL) {
    return Error(Errc::unsupported, "chip program " + what + ": this platform runs kernels only",
                 "submit its kernels from the program, or use a simulated chip");
  }
  bool has_images = false;
  if (TROUPE_MODULE_HAS(&module, images_end)) {
    const std::lock_guard lock(loading_);
    for (const auto* image = module.images_begin; image != module.images_end; ++image) {
      if (*image == nullptr || !driver_->takes((*image)->format)) continue;
      has_images = true;
      auto program = program_of(**image);
      if (!program) return program.error();
      auto function = noted(driver_->find((*program)->get(), "troupe_kernel_" + std::string(callable.name)));
      if (function) {
        return std::unique_ptr<LoadedCode>(new DeviceKernel(*driver_, *std::move(program), *function, true));
      }
      if (function.error() != Errc::unknown_callable) return function.error();
    }
  }
  return Error(Errc::unsupported,
               "kernel " + what +
                   (has_images ? " is in none of the module's images for this device"
                               : ": the module has no code for this device"),
               "put it into a source that includes troupe/runtime/device_kernel.hpp, and build it with "
               "troupe_device_images(… TARGETS opencl cuda)");
}

Error QueuedChip::busy() const {
  troupe_core_status core{};
  if (report_cores(&core, 1) == 0) return {Errc::busy, "the device has not come to its end yet"};
  return {Errc::busy, "kernel '" + std::string(core.name) + "' does not return",
          "the chip is quarantined; destroy it again once the kernel has returned"};
}

void QueuedChip::report(troupe_device_status& status) const {
  engine_.unfinished().report(status);
  const auto memory = memory_.statistics();
  status.allocations = memory.live_allocations;
  status.memory_used = memory.in_use;
  status.memory_peak = memory.peak;
  status.callables = callables_.size();
}

Result<void> QueuedChip::close() {
  const auto deadline = Unfinished::Clock::now() + grace_;
  if (!engine_.close(deadline) || !threads_.close(deadline)) return busy();
  return {};
}

}  // namespace troupe::platform::queued
