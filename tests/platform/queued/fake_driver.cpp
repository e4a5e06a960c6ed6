#include "fake_driver.hpp"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <thread>

namespace troupe::test {

using namespace platform::queued;
using platform::Errc;

FakeDevice*& fake_device() {
  static FakeDevice* device = nullptr;
  return device;
}

FakeDevice::FakeDevice() {
  add("gate", [this](troupe_device_block& block, std::uint32_t) {
    return open_ || std::atomic_ref(block.abort).load() != 0;
  });
  add("stuck", [this](troupe_device_block&, std::uint32_t) { return open_; });
  add("fail", [](troupe_device_block& block, std::uint32_t) {
    std::strcpy(block.text, "on purpose");
    std::atomic_ref(block.verdict).store(TROUPE_VERDICT_FAILED);
    return true;
  });
  add("nothing", [](troupe_device_block&, std::uint32_t) { return true; });
}

void FakeDevice::add(const std::string& name, Kernel kernel) {
  const std::lock_guard lock(mutex_);
  kernels_[name] = std::move(kernel);
}

void FakeDevice::open_gate() {
  const std::lock_guard lock(mutex_);
  open_ = true;
}

std::uint64_t FakeDevice::fail_call(std::uint64_t call, Errc code) {
  const std::lock_guard lock(mutex_);
  failing_ = call == 0 ? 0 : calls_ + call;
  failure_ = code;
  return calls_;
}

void FakeDevice::fail_next(const std::string& name, Errc code) {
  const std::lock_guard lock(mutex_);
  failing_name_ = name;
  failure_ = code;
}

std::vector<std::string> FakeDevice::entered() const {
  const std::lock_guard lock(mutex_);
  return entered_;
}

std::string FakeDevice::complaint() const {
  const std::lock_guard lock(mutex_);
  return complaint_;
}

std::string FakeDevice::left() const {
  const std::lock_guard lock(mutex_);
  std::ostringstream text;
  const auto events =
      std::count_if(events_.begin(), events_.end(), [](const auto& e) { return !e.second.released; });
  if (!memory_.empty()) text << memory_.size() << " allocations ";
  if (events != 0) text << events << " events ";
  if (!programs_.empty()) text << programs_.size() << " programs ";
  if (!functions_.empty()) text << functions_.size() << " functions ";
  if (!graphs_.empty()) text << graphs_.size() << " graphs ";
  if (!queues_.empty()) text << queues_.size() << " queues ";
  return text.str();
}

std::size_t FakeDevice::graphs() const {
  const std::lock_guard lock(mutex_);
  return graphs_.size();
}

void FakeDevice::complain(const std::string& what) {
  if (complaint_.empty()) complaint_ = what;
}

Result<void> FakeDevice::count_call(const char* name) {
  if (dead_) return Error(Errc::lost, "the device is gone");
  if (++calls_ != failing_ && name != failing_name_) return {};
  failing_name_.clear();
  dead_ = failure_ == Errc::lost;
  return Error(failure_, std::string("call ") + name + " fails by order");
}

bool FakeDevice::is_over(std::uint64_t event) const {
  const auto found = events_.find(event);
  return found == events_.end() || found->second.ended;
}

void FakeDevice::advance() {
  for (bool moved = true; moved;) {
    moved = false;
    for (auto& [queue, works] : queues_) {
      while (!works.empty() && works.front().flushed) {
        Work& work = works.front();
        if (!std::all_of(work.after.begin(), work.after.end(), [this](auto event) { return is_over(event); }))
          break;
        if (!work.begin()) break;
        auto end = events_.find(work.event);
        end->second.ended = true;
        works.pop_front();
        moved = true;
      }
    }
  }
  std::erase_if(events_, [](const auto& event) { return event.second.ended && event.second.released; });
}

/// As troupe_kernel_… of device_kernel.hpp begin.
bool FakeDevice::enter(const std::string& name, bool guarded, troupe_device_block& block,
                       std::uint32_t blocks) {
  if (guarded && std::atomic_ref(block.started).exchange(1) == 0) {
    for (std::uint32_t i = 0; i < block.producers; ++i) {
      auto& before = *reinterpret_cast<troupe_device_block*>(block.producer[i]);
      if (std::atomic_ref(before.verdict).load() == 0 && std::atomic_ref(before.abort).load() == 0) continue;
      std::atomic_ref(block.verdict).store(TROUPE_VERDICT_SKIPPED);
      return true;
    }
    if (std::atomic_ref(block.abort).load() != 0) {
      std::atomic_ref(block.verdict).store(TROUPE_VERDICT_ABORTED);
      return true;
    }
    entered_.push_back(name);
  }
  if (std::atomic_ref(block.verdict).load() == TROUPE_VERDICT_SKIPPED) return true;
  return kernels_.at(name)(block, blocks);
}

class FakeDriver final : public Driver {
 public:
  explicit FakeDriver(FakeDevice& device) : device_(device) {}

  Result<Address> allocate(std::size_t bytes) override {
    return locked("allocate", [&]() -> Address {
      void* memory = std::aligned_alloc(64, (bytes + 63) / 64 * 64);
      std::memset(memory, 0xEE, bytes);
      const auto address = static_cast<Address>(reinterpret_cast<std::uintptr_t>(memory));
      device_.memory_[address] = bytes;
      return address;
    });
  }
  void free(Address address, std::size_t /*bytes*/) noexcept override {
    const std::lock_guard lock(device_.mutex_);
    if (device_.memory_.erase(address) == 0) device_.complain("memory is given back that was not taken");
    std::free(reinterpret_cast<void*>(address));
  }
  Result<SharedMemory> allocate_shared(std::size_t bytes) override {
    auto address = allocate(bytes);
    if (!address) return address.error();
    return SharedMemory{reinterpret_cast<void*>(*address), *address, bytes};
  }
  void free_shared(const SharedMemory& memory) noexcept override { free(memory.device, memory.bytes); }

  bool takes(std::uint32_t format) const noexcept override { return format == TROUPE_IMAGE_PTX; }
  /// The code is a list of the kernels in it.
  Result<Program> load(const Image& image) override {
    const std::string code(reinterpret_cast<const char*>(image.bytes.data()), image.bytes.size());
    if (image.format == 0 && !code.starts_with("kernel_entry=")) {
      return Error(Errc::bad_callable, "'" + std::string(image.name) + "' is no code");
    }
    return locked("load", [&] {
      std::istringstream words(code);
      auto& kernels = device_.programs_[device_.next_];
      for (std::string word; words >> word;) kernels.insert(word);
      return Program{device_.next_++};
    });
  }
  void unload(Program program) noexcept override {
    const std::lock_guard lock(device_.mutex_);
    device_.programs_.erase(static_cast<std::uint64_t>(program));
  }
  Result<Function> find(Program program, const std::string& name) override {
    const std::lock_guard lock(device_.mutex_);
    if (auto counted = device_.count_call("find"); !counted) return counted.error();
    for (const auto& kernel : device_.programs_[static_cast<std::uint64_t>(program)]) {
      // "kernel_entry=NAME" of bytes, "NAME" of an image
      const bool foreign = kernel.starts_with(name + "=");
      if (!foreign && "troupe_kernel_" + kernel != name) continue;
      device_.functions_[device_.next_] = kernel;
      return Function{device_.next_++};
    }
    return Error(Errc::unknown_callable, "no kernel '" + name + "'");
  }
  void forget(Function function) noexcept override {
    const std::lock_guard lock(device_.mutex_);
    device_.functions_.erase(static_cast<std::uint64_t>(function));
  }

  Result<Queue> open_queue() override {
    return locked("open_queue", [&] {
      device_.queues_[device_.next_];
      return Queue{device_.next_++};
    });
  }
  void close_queue(Queue queue) noexcept override {
    const std::lock_guard lock(device_.mutex_);
    const auto found = device_.queues_.find(static_cast<std::uint64_t>(queue));
    if (!found->second.empty() && !device_.dead_)
      device_.complain("a queue is closed that has something to do");
    device_.queues_.erase(found);
  }
  Result<Event> launch(Queue queue, const Launch& what, std::span<const Event> after) override {
    return give("launch", queue, after, [&] { return begin(what); });
  }
  Result<Event> copy(Queue queue, const Copy& what, std::span<const Event> after) override {
    return give("copy", queue, after, [what]() -> std::function<bool()> {
      return [what] {
        std::memcpy(reinterpret_cast<void*>(what.to), reinterpret_cast<const void*>(what.from), what.bytes);
        return true;
      };
    });
  }
  Result<void> flush(Queue queue) override {
    const std::lock_guard lock(device_.mutex_);
    if (auto counted = device_.count_call("flush"); !counted) return counted;
    for (auto& work : device_.queues_[static_cast<std::uint64_t>(queue)]) work.flushed = true;
    return {};
  }
  Result<bool> has_ended(Event event) override {
    const std::lock_guard lock(device_.mutex_);
    if (auto counted = device_.count_call("has_ended"); !counted) {
      // An error says that it has ended, too; a graph takes some looks.
      for (int look = 0; look < 100; ++look) device_.advance();
      return counted.error();
    }
    device_.advance();
    const auto found = device_.events_.find(static_cast<std::uint64_t>(event));
    if (found == device_.events_.end()) {
      device_.complain("an event is asked for that was released");
      return true;
    }
    return found->second.ended;
  }
  Result<void> wait(Event event) override {
    {
      const std::lock_guard lock(device_.mutex_);
      for (auto& [queue, works] : device_.queues_) {
        for (auto& work : works) work.flushed = true;
      }
    }
    for (;;) {
      auto ended = has_ended(event);
      if (!ended) return ended.error();
      if (*ended) return {};
      std::this_thread::yield();
    }
  }
  void release(Event event) noexcept override {
    const std::lock_guard lock(device_.mutex_);
    const auto found = device_.events_.find(static_cast<std::uint64_t>(event));
    if (found == device_.events_.end() || found->second.released)
      return device_.complain("an event is released twice");
    found->second.released = true;
  }

  bool has_graphs() const noexcept override { return device_.graphs_are_there_; }
  Result<Graph> make_graph(std::span<const GraphNode> nodes) override {
    return locked("make_graph", [&] {
      auto& made = device_.graphs_[device_.next_];
      for (const auto& node : nodes) {
        made.push_back({begin(node.launch), {node.after.begin(), node.after.end()}});
        for (const auto before : node.after) {
          if (before + 1 >= made.size()) device_.complain("a node comes after one that is not before it");
        }
        if (std::set(node.after.begin(), node.after.end()).size() != node.after.size())
          device_.complain("a node comes after one twice");
      }
      return Graph{device_.next_++};
    });
  }
  void drop_graph(Graph graph) noexcept override {
    const std::lock_guard lock(device_.mutex_);
    if (device_.graphs_.erase(static_cast<std::uint64_t>(graph)) == 0)
      device_.complain("a graph is dropped that is not there");
  }
  Result<Event> launch_graph(Queue queue, Graph graph, std::span<const Event> after) override {
    return give("launch_graph", queue, after, [this, graph]() -> std::function<bool()> {
      // Each node as soon as it can go, the last ones first.
      auto open = std::make_shared<std::vector<bool>>(
          device_.graphs_.at(static_cast<std::uint64_t>(graph)).size(), true);
      return [open, nodes = device_.graphs_.at(static_cast<std::uint64_t>(graph))] {
        bool all = true;
        for (std::size_t i = nodes.size(); i-- > 0;) {
          const auto& node = nodes[i];
          const bool can_go =
              (*open)[i] && std::none_of(node.after.begin(), node.after.end(),
                                         [&](std::uint32_t before) { return (*open)[before]; });
          if (can_go && node.begin()) (*open)[i] = false;
          all = all && !(*open)[i];
        }
        return all;
      };
    });
  }

 private:
  std::function<bool()> begin(const Launch& what) {
    const auto name = device_.functions_.at(static_cast<std::uint64_t>(what.function));
    const bool foreign = name.starts_with("kernel_entry=");
    const auto at = what.argument - (foreign ? offsetof(troupe_device_block, words) : 0);
    auto* block = reinterpret_cast<troupe_device_block*>(at);
    return [this, block, foreign, blocks = what.blocks, kernel = name.substr(foreign ? 13 : 0)] {
      return device_.enter(kernel, !foreign, *block, blocks);
    };
  }
  template <class Body>
  auto locked(const char* name, Body body) -> Result<decltype(body())> {
    const std::lock_guard lock(device_.mutex_);
    if (auto counted = device_.count_call(name); !counted) return counted.error();
    return body();
  }
  template <class Make>
  Result<Event> give(const char* name, Queue queue, std::span<const Event> after, Make make) {
    return locked(name, [&] {
      FakeDevice::Work work;
      for (const Event event : after) {
        if (!device_.events_.contains(static_cast<std::uint64_t>(event)))
          device_.complain("waits for a released event");
        work.after.push_back(static_cast<std::uint64_t>(event));
      }
      work.begin = make();
      work.event = device_.next_++;
      device_.events_[work.event];
      const Event event{work.event};
      device_.queues_[static_cast<std::uint64_t>(queue)].push_back(std::move(work));
      return event;
    });
  }

  FakeDevice& device_;
};

namespace {

class FakeSource final : public DriverSource {
 public:
  std::string_view architecture() const noexcept override { return "fake"; }
  std::span<const DeviceFacts> devices() const noexcept override {
    return {&facts_, fake_device() != nullptr ? std::size_t{1} : 0};
  }
  Error no_device() const override { return {Errc::no_such_device, "no fake device was made"}; }
  Result<std::unique_ptr<Driver>> open(std::uint32_t /*device*/) override {
    return std::unique_ptr<Driver>(new FakeDriver(*fake_device()));
  }

 private:
  DeviceFacts facts_{.name = "fake",
                     .driver = "test",
                     .memory_bytes = 1 << 24,
                     .units = 4,
                     .together = 2,
                     .graphs = fake_device() != nullptr && fake_device()->has_graphs()};
};

}  // namespace

}  // namespace troupe::test

std::unique_ptr<troupe::platform::queued::DriverSource> troupe::platform::queued::make_driver_source() {
  return std::make_unique<troupe::test::FakeSource>();
}
