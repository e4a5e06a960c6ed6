#include "troupe/comm/bootstrap_channel.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cstring>
#include <thread>
#include <vector>

#include "comm/collective_golden.hpp"
#include "comm/leaks.hpp"
#include "troupe/comm/errc.hpp"

namespace troupe::comm::test {
namespace {

struct alignas(64) Memory {
  std::array<std::byte, bootstrap_mailbox_bytes> bytes{};

  template <class T>
  T at(std::size_t offset) const {
    T value;
    std::memcpy(&value, bytes.data() + offset, sizeof value);
    return value;
  }
  template <class T>
  void put(std::size_t offset, T value) {
    std::memcpy(bytes.data() + offset, &value, sizeof value);
  }
};

const ChipBootstrapResult sample{.device_ctx = 0x1122334455667788,
                                 .local_window_base = 0x2000,
                                 .actual_window_size = 0x3000,
                                 .buffer_ptrs = {0x2000, 0x2040, 0x4fff}};

TEST_CASE("a success lies in the mailbox byte for byte where the layout says") {
  Memory memory;
  auto channel = ChipBootstrapChannel::over(memory.bytes.data()).value();
  REQUIRE(channel.write_success(sample));
  CHECK(memory.at<std::int32_t>(0) == 1);
  CHECK(memory.at<std::int32_t>(4) == 0);
  CHECK(memory.at<std::int32_t>(8) == 3);
  CHECK(memory.at<std::uint64_t>(16) == sample.device_ctx);
  CHECK(memory.at<std::uint64_t>(24) == sample.local_window_base);
  CHECK(memory.at<std::uint64_t>(32) == sample.actual_window_size);
  CHECK(memory.at<std::uint64_t>(64) == 0x2000);
  CHECK(memory.at<std::uint64_t>(80) == 0x4fff);
  CHECK(**channel.read() == sample);
  CHECK_FALSE(channel.failure());
}

TEST_CASE("an error lies in the mailbox with its code and its text, cut at 1023 bytes") {
  Memory memory;
  auto channel = ChipBootstrapChannel::over(memory.bytes.data()).value();
  channel.write_error(1, "ValueError: no");
  CHECK(memory.at<std::int32_t>(0) == 2);
  CHECK(memory.at<std::int32_t>(4) == 1);
  CHECK(std::strcmp(reinterpret_cast<const char*>(memory.bytes.data()) + 3072, "ValueError: no") == 0);
  CHECK(channel.failure()->code == 1);
  CHECK(channel.read().error() == Errc::chip_failed);
  CHECK(channel.read().error().message() == "ValueError: no");

  channel.write_error(1, std::string(5000, 'x'));
  CHECK(memory.at<char>(4095) == '\0');
  CHECK(channel.failure()->message == std::string(1023, 'x'));

  channel.reset();
  CHECK(memory.bytes == Memory().bytes);
  CHECK_FALSE(channel.read()->has_value());
}

TEST_CASE("limits: null memory, 376 buffers, the caller's own limit") {
  Memory memory;
  CHECK(ChipBootstrapChannel::over(nullptr).error().message() == "mailbox must not be null");
  CHECK(ChipBootstrapChannel::over(memory.bytes.data(), 377).error() == Errc::bad_argument);
  CHECK(ChipBootstrapChannel::over(memory.bytes.data() + 4).error() == Errc::bad_argument);
  ChipBootstrapResult many;
  for (std::uint64_t i = 0; i < 376; ++i) many.buffer_ptrs.push_back(i);
  auto channel = ChipBootstrapChannel::over(memory.bytes.data()).value();
  REQUIRE(channel.write_success(many));
  CHECK(**channel.read() == many);
  CHECK(memory.at<std::uint64_t>(3064) == 375);

  channel.reset();
  auto narrow = ChipBootstrapChannel::over(memory.bytes.data(), 2).value();
  const auto refused = narrow.write_success(sample);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message() == "buffer_ptrs exceeds max_buffer_count");
  CHECK(memory.bytes == Memory().bytes);
}

TEST_CASE("the reader believes nothing: any bytes give a result, nothing, or an error") {
  for (std::uint64_t seed = first_seed(); seed < first_seed() + seeds(3000); ++seed) {
    CAPTURE(seed);
    Memory memory;
    auto channel = ChipBootstrapChannel::over(memory.bytes.data()).value();
    if (noise(seed, 0, 0) % 2 == 0) {
      for (std::size_t i = 0; i < memory.bytes.size(); i += 8) memory.put(i, noise(seed, 1, i));
      memory.put<std::int32_t>(0, static_cast<std::int32_t>(noise(seed, 2, 0) % 4));
    } else {
      REQUIRE(channel.write_success(sample));
      for (std::uint64_t i = 0; i < 1 + noise(seed, 0, 1) % 4; ++i) {
        memory.put(noise(seed, 3, i) % 4096, static_cast<std::uint8_t>(noise(seed, 4, i)));
      }
    }
    const auto state = memory.at<std::int32_t>(0);
    const auto count = memory.at<std::int32_t>(8);
    const auto read = channel.read();
    if (state == 0) {
      CHECK((read && !read->has_value()));
    } else if (state == 1 && count >= 0 && count <= 376 &&
               memory.at<std::uint64_t>(24) + memory.at<std::uint64_t>(32) >= memory.at<std::uint64_t>(24)) {
      REQUIRE(read);
      CHECK((*read)->buffer_ptrs.size() == static_cast<std::size_t>(count));
    } else if (state == 2) {
      CHECK(read.error() == Errc::chip_failed);
      CHECK(read.error().message().size() <= 1023);
    } else {
      CHECK(read.error() == Errc::bad_blob);
    }
  }
}

TEST_CASE("a text without an end is read up to the end of the mailbox") {
  Memory memory;
  memory.bytes.fill(std::byte{'y'});
  memory.put<std::int32_t>(0, 2);
  auto channel = ChipBootstrapChannel::over(memory.bytes.data()).value();
  CHECK(channel.failure()->message == std::string(1023, 'y'));
}

TEST_CASE("whoever sees the state sees everything written before it") {
  for (std::uint64_t round = 0; round < cases(200); ++round) {
    Memory memory;
    auto channel = ChipBootstrapChannel::over(memory.bytes.data()).value();
    ChipBootstrapResult expected = sample;
    for (std::uint64_t i = 0; i < 373; ++i) expected.buffer_ptrs.push_back(round + i);
    std::jthread writer([&] { (void)channel.write_success(expected); });
    for (;;) {
      const auto read = channel.read();
      REQUIRE(read);
      if (!read->has_value()) continue;
      CHECK(**read == expected);
      break;
    }
    writer.join();
  }
}

TEST_CASE("a mailbox brings the report of a thread") {
  const auto before = held_descriptors();
  {
    auto mailbox = BootstrapMailbox::create("chip 3").value();
    CHECK(mailbox.wait().error() == Errc::wrong_state);  // nobody could ever report
    auto writer = mailbox.writer().value();
    CHECK(mailbox.writer().error() == Errc::wrong_state);
    CHECK_FALSE(mailbox.poll()->has_value());
    CHECK(mailbox.wait(std::chrono::steady_clock::now()).error() == Errc::deadline);
    SUBCASE("success") {
      std::thread chip([end = std::move(writer)]() mutable { (void)end.success(sample); });
      CHECK(*mailbox.wait() == sample);
      chip.join();
      CHECK(**mailbox.poll() == sample);  // it stays
    }
    SUBCASE("failure, in the words of the reference") {
      std::thread chip([end = std::move(writer)]() mutable { (void)end.error(1, "ValueError: nope"); });
      const auto failed = mailbox.wait();
      chip.join();
      CHECK(failed.error() == Errc::chip_failed);
      CHECK(failed.error().message() == "chip 3 bootstrap failed: ValueError: nope");
      CHECK(mailbox.wait().error() == Errc::chip_failed);
    }
    SUBCASE("the end without a report") {
      std::thread chip([end = std::move(writer)]() mutable { const BootstrapWriter gone = std::move(end); });
      CHECK(mailbox.wait().error() == Errc::peer_lost);
      chip.join();
      CHECK(mailbox.poll().error() == Errc::peer_lost);  // and it stays lost
    }
  }
  CHECK(held_descriptors() == before);
}

TEST_CASE("a named mailbox is found by its name, and nothing is left of it") {
  const auto before = held_descriptors();
  const std::string name = unique_name("mailbox");
  {
    auto mailbox = BootstrapMailbox::create_named("chip 0", name).value();
    CHECK(mailbox.writer().error() == Errc::wrong_state);
    CHECK(BootstrapMailbox::create_named("chip 1", name).error() == Errc::name_taken);
    CHECK_FALSE(mailbox.poll()->has_value());
    SUBCASE("success") {
      std::thread chip([&] { (void)BootstrapWriter::attach(name).value().success(sample); });
      CHECK(*mailbox.wait() == sample);
      chip.join();
    }
    SUBCASE("the end without a report") {
      std::thread chip([&] { CHECK(BootstrapWriter::attach(name)); });
      CHECK(mailbox.wait().error() == Errc::peer_lost);
      chip.join();
    }
    SUBCASE("one writer only") {
      auto writer = BootstrapWriter::attach(name);
      REQUIRE(writer);
      CHECK_FALSE(mailbox.poll()->has_value());
      CHECK_FALSE(BootstrapWriter::attach(name));
    }
  }
  CHECK(BootstrapWriter::attach(name).error() == Errc::not_found);
  CHECK(own_shared_memory_names().empty());
  CHECK(held_descriptors() == before);
}

TEST_CASE("memory that is no mailbox is refused by the writer") {
  auto plain = HostSegment::create(unique_name("plain"), 4096).value();
  CHECK_FALSE(BootstrapWriter::attach(plain.name()));  // nobody listens there
  auto mailbox = BootstrapMailbox::create("chip").value();
  auto writer = mailbox.writer().value();
  const auto duplicate = [](int fd) { return FileDescriptor(::dup(fd)); };
  CHECK(BootstrapWriter::open(FileDescriptor(), duplicate(writer.doorbell())).error() == Errc::bad_argument);
  CHECK(BootstrapWriter::open(duplicate(writer.doorbell()), duplicate(writer.doorbell())).error() ==
        Errc::bad_blob);
  CHECK(BootstrapWriter::open(duplicate(writer.memory()), duplicate(writer.doorbell())));
}

}  // namespace
}  // namespace troupe::comm::test
