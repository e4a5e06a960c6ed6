// Direct use of a chip: memory, copies, one program.
#include "data/data.hpp"
#include "system/call.hpp"

namespace troupe::actors {
namespace {

/// Device memory of a chip; freed when the last tensor of it goes, unless the chip (or this life of it) went
/// first.
class DeviceHold final : public BufferHold {
 public:
  DeviceHold(std::shared_ptr<Services> services, caf::weak_actor_ptr chip, DeviceFree free)
      : BufferHold(services.get()), services_(std::move(services)), chip_(std::move(chip)), free_(free) {}
  ~DeviceHold() override {
    const auto here = services_->enter();
    if (!here) return;
    if (auto chip = caf::actor_cast<Chip>(chip_)) caf::anon_send(chip, free_);
  }

 private:
  std::shared_ptr<Services> services_;
  caf::weak_actor_ptr chip_;
  DeviceFree free_;
};

}  // namespace

void ChipDevice::reset() const { (void)Call(*core_).demand<bool>(ResetExecutor{index_}); }
Tensor ChipDevice::malloc(const runtime::Shape& shape, runtime::DType dtype) const {
  const auto like = runtime::Tensor::unallocated(shape, dtype);
  const Call call(*core_);
  const auto access = call.demand<ChipAccess>(ChipOf{index_});
  const DeviceMalloc order{like.bytes(), access.incarnation};
  const auto address = call.demand<std::uint64_t>(access.chip, order);
  auto hold =
      std::make_shared<DeviceHold>(core_->shared->services, caf::actor_cast<caf::weak_actor_ptr>(access.chip),
                                   DeviceFree{address, access.incarnation});
  const runtime::BufferRef ref{device_arena(core_->shared->number, index_),
                               device_generation(access.incarnation), address};
  return {runtime::Tensor::create(ref, like.bytes(), 0, shape, dtype).value(), std::move(hold)};
}

namespace {

void copy(NodeCore& core, int index, const Tensor& device, const Tensor& host, bool to_device) {
  (void)core.get();
  const auto& there = device.description();
  const auto& here = host.description();
  const auto* system = device.hold() ? device.hold()->system : nullptr;
  if (there.buffer().arena != device_arena(core.shared->number, index) ||
      (system != nullptr && system != core.shared->services.get())) {
    throw Error(Errc::bad_argument, "the device tensor does not live on chip " + std::to_string(index) +
                                        " of " + core.shared->name);
  }
  if (here.host_address() == nullptr)
    throw Error(Errc::bad_argument, "the other tensor is not in host memory");
  if (auto* buffer = host.hold() ? host.hold()->buffer : nullptr) {
    buffer->bring_home(!to_device && here.bytes() != buffer->bytes());
    if (!to_device) buffer->changed_at_home();
  }
  if (here.bytes() != there.bytes() || !here.is_contiguous() || !there.is_contiguous()) {
    throw Error(Errc::bad_argument, "copies go between contiguous tensors of one size, not " +
                                        to_string(here) + " and " + to_string(there));
  }
  if (here.dtype() != there.dtype()) {
    throw Error(runtime::Errc::dtype_mismatch,
                "a copy between " + to_string(here) + " and " + to_string(there) +
                    ": the bytes would become " + "other values",
                "make the host tensor of the device tensor's element type");
  }
  const Call call(core);
  const auto access = call.demand<ChipAccess>(ChipOf{index});
  if (!of_life(there.buffer().generation, access.incarnation)) {
    throw Error(Errc::data_lost, "device tensor " + to_string(there) + " died with an earlier life of chip " +
                                     std::to_string(index));
  }
  DeviceCopy order;
  order.to_device = to_device;
  order.address = there.buffer().offset + there.byte_offset();
  order.host = here.host_address();
  order.bytes = here.bytes();
  order.incarnation = access.incarnation;
  (void)call.demand<bool>(access.chip, order);
}

}  // namespace

void ChipDevice::copy_to(const Tensor& device, const Tensor& host) const {
  copy(*core_, index_, device, host, true);
}
void ChipDevice::copy_from(const Tensor& host, const Tensor& device) const {
  copy(*core_, index_, device, host, false);
}
void ChipDevice::run_program(BoundProgram program) const { Node(core_).run_bound({}, std::move(program)); }

}  // namespace troupe::actors
