#pragma once

// The border between the engine for queued devices and what knows one kind of them. A driver is a class
// derived from Driver, for one opened device, and one derived from DriverSource, which finds the devices; a
// plugin has one definition of `make_driver_source`. docs/porting.md tells the order in which to write one.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "troupe/platform/device_abi.h"
#include "troupe/runtime/error.hpp"
#include "troupe/runtime/module_abi.h"
#include "troupe/runtime/result.hpp"

namespace troupe::platform::queued {

/// What is known of a device before it is opened.
struct DeviceFacts {
  std::string name;                ///< its own, for people
  std::string driver;              ///< what drives it, with its version
  std::uint64_t memory_bytes = 0;  ///< what it has
  std::uint32_t units = 1;         ///< blocks that it works on at the same time
  std::uint32_t lanes = 1;         ///< that a block has unless the user says otherwise
  std::uint32_t most_lanes = 1;    ///< that a block may have
  std::uint32_t together = 1;      ///< blocks of a call that are sure to run at the same time
  bool graphs = false;             ///< its driver has them
};

/// A place in the device's memory, as kernels see it. Every byte of an allocation has one.
using Address = std::uint64_t;

/// Memory that the device reaches while the host does, too, without copies: for argument blocks.
struct SharedMemory {
  void* host = nullptr;
  Address device = 0;
  std::size_t bytes = 0;
};

// Numbers that a driver gives out; what they stand for is its own affair. 0 is none.
enum class Queue : std::uint64_t {};     ///< works on what it is given in order
enum class Event : std::uint64_t {};     ///< the end of one thing that a queue was given
enum class Program : std::uint64_t {};   ///< loaded code
enum class Function : std::uint64_t {};  ///< a kernel in a program
enum class Graph : std::uint64_t {};     ///< launches that are made together, of a device that has such

/// Code for devices, as it came.
struct Image {
  std::string_view name;     ///< of what it is, for errors
  std::uint32_t format = 0;  ///< enum troupe_image_format; 0: the driver looks at the bytes
  std::span<const std::byte> bytes;
};

/// `blocks` times `lanes` lanes of a kernel, whose only parameter is the address `argument` in shared memory.
struct Launch {
  Function function{};
  std::uint32_t blocks = 1, lanes = 1;
  Address argument = 0;
};

/// One launch of a graph, which begins when those of its earlier nodes `after` have ended.
struct GraphNode {
  Launch launch;
  std::span<const std::uint32_t> after;
};

/// A stretch of bytes, of which one end or both are on the device; an end on the host is its address there.
struct Copy {
  enum class Way : std::uint8_t { to_device, from_device, on_device } way;
  std::uint64_t to, from;
  std::size_t bytes;
};

/// One opened device. Any thread may call; calls for one queue come from one thread at a time, and nothing is
/// given back while it is used. A call that fails has done nothing; an error with Errc::lost says that the
/// device has died, after which nothing is called any more but the destructor and what gives things back.
class Driver {
 public:
  virtual ~Driver() = default;

  // Memory; at least 64-byte aligned.
  virtual Result<Address> allocate(std::size_t bytes) = 0;
  virtual void free(Address address, std::size_t bytes) noexcept = 0;
  virtual Result<SharedMemory> allocate_shared(std::size_t bytes) = 0;
  virtual void free_shared(const SharedMemory& memory) noexcept = 0;

  // Code. `load` fails with bad_callable and the compiler's words; `find` with unknown_callable.
  virtual bool takes(std::uint32_t format) const noexcept = 0;
  virtual Result<Program> load(const Image& image) = 0;
  virtual void unload(Program program) noexcept = 0;
  /// Ready to be launched at once: nothing is loaded later.
  virtual Result<Function> find(Program program, const std::string& name) = 0;
  virtual void forget(Function function) noexcept = 0;

  // Work. It begins when all before it in its queue and all of `after` have ended, and perhaps not before
  // `flush` of its queue, or `wait` for it.
  virtual Result<Queue> open_queue() = 0;
  virtual void close_queue(Queue queue) noexcept = 0;
  virtual Result<Event> launch(Queue queue, const Launch& what, std::span<const Event> after) = 0;
  virtual Result<Event> copy(Queue queue, const Copy& what, std::span<const Event> after) = 0;
  virtual Result<void> flush(Queue queue) = 0;
  /// Whether it has ended. An error: it has, but not well.
  virtual Result<bool> has_ended(Event event) = 0;
  /// Sleeps until it has.
  virtual Result<void> wait(Event event) = 0;
  /// Nobody asks for it any more; what it stands for goes on.
  virtual void release(Event event) noexcept = 0;

  // Graphs, where the device has them: work like any other, and one launch of a graph at a time.
  virtual bool has_graphs() const noexcept { return false; }
  virtual Result<Graph> make_graph(std::span<const GraphNode> nodes);
  virtual void drop_graph(Graph graph) noexcept { static_cast<void>(graph); }
  virtual Result<Event> launch_graph(Queue queue, Graph graph, std::span<const Event> after);
};

/// Finds devices and opens them. One for each context; used by one thread at a time.
class DriverSource {
 public:
  virtual ~DriverSource() = default;
  /// A word: "opencl".
  virtual std::string_view architecture() const noexcept = 0;
  /// Those that can be used, in an order that stays.
  virtual std::span<const DeviceFacts> devices() const noexcept = 0;
  /// What was looked for, and why nothing that was found can be used; for when there is no device.
  virtual Error no_device() const = 0;
  virtual Result<std::unique_ptr<Driver>> open(std::uint32_t device) = 0;
};

/// Every plugin has exactly one definition.
std::unique_ptr<DriverSource> make_driver_source();

}  // namespace troupe::platform::queued
