#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "driver/driver.hpp"
#include "memory/memory.hpp"
#include "runs/runs.hpp"
#include "troupe/runtime/task_args.hpp"

namespace troupe::platform::queued {

using namespace common;

/// Device memory for the copies of host tensors, kept for later runs. One thread.
class CopyRoom {
 public:
  explicit CopyRoom(DeviceMemory& memory) : memory_(memory) {}
  ~CopyRoom();
  CopyRoom(const CopyRoom&) = delete;
  CopyRoom& operator=(const CopyRoom&) = delete;

  struct Piece {
    Address address = 0;
    std::size_t size = 0;
  };
  Result<Piece> take(std::size_t bytes);
  void give_back(Piece piece) noexcept;

 private:
  DeviceMemory& memory_;
  std::multimap<std::size_t, Address> free_;
  std::size_t kept_ = 0;
};

/// The tensors of one run as its kernel sees them, and the copies that bring the host's to the device and its
/// outputs back: stretches without gaps, so that what lies between the elements of a view is never touched.
/// Host tensors whose bytes overlap share one copy, so aliases stay aliases. One thread.
class HostTensors {
 public:
  /// Checks the tensors of a run, and takes room for copies. Afterwards `device` are those with addresses of
  /// the device.
  Result<void> place(const Run& run, const DeviceMemory& memory, CopyRoom& room);
  void leave(CopyRoom& room) noexcept;

  const std::vector<runtime::Tensor>& device() const noexcept { return device_; }
  const std::vector<Copy>& inputs() const noexcept { return inputs_; }
  const std::vector<Copy>& outputs() const noexcept { return outputs_; }

 private:
  void add_copies(const runtime::Tensor& host, const runtime::Tensor& device, runtime::Tag tag);

  std::vector<runtime::Tensor> device_;
  std::vector<Copy> inputs_, outputs_;
  CopyRoom::Piece piece_;
};

}  // namespace troupe::platform::queued
