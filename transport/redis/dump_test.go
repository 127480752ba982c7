package redis

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

// dumped are values and what redis-server 7.0.15 answers to DUMP of them.
var dumped = []struct{ value, payload string }{
	{"", "00000a005d9b5c400f7fa2da"},
	{"1", "00c0010a002678e7b6d10111fc"},
	{"-5", "00c0fb0a0049c4c6f4d7263f68"},
	{"127", "00c07f0a000db5eb315254c514"},
	{"128", "00c180000a00eb7ab3b510cf4b65"},
	{"-129", "00c17fff0a001760822854808480"},
	{"32767", "00c1ff7f0a00495a37da17f4d52b"},
	{"32768", "00c2008000000a0045d82eedd5bda910"},
	{"-70000", "00c290eefeff0a002875de7b13eb2800"},
	{"2147483647", "00c2ffffff7f0a002c74e59ee02eada1"},
	{"2147483648", "000a323134373438333634380a00e7b129a34c1d76ee"},
	{"99999999999", "000b39393939393939393939390a0023b048fb0edbef7f"},
	{"text", "0004746578740a007cf3266dcab5a531"},
	{"01", "000230310a006cddc441144c7da4"},
	{"the quick brown fox jumps over the lazy dog", "002b74686520717569636b2062726f776e20666f78206a756d7073206f76657220746865206c617a7920646f670a00f76b4fa31619288b"},
	{strings.Repeat("x", 63), "00c3093f017878e032000178780a0072a017a560edf6e5"},
	{strings.Repeat("x", 64), "00c3094040017878e033000178780a007671d576c5795442"},
	{strings.Repeat("long ", 20), "00c30d4064056c6f6e67206ce053040167200a00b851527cf9ecd63e"},
}

func payload(t testing.TB, digits string) []byte {
	t.Helper()
	b, err := hex.DecodeString(digits)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestDumpsAreThoseOfRedis(t *testing.T) {
	for _, d := range dumped {
		theirs := payload(t, d.payload)
		got, err := decodeDump(nil, theirs, 1000)
		if err != nil || string(got) != d.value {
			t.Errorf("%s is %q, %v, want %q", d.payload, got, err, d.value)
		}
		ours := appendDump(nil, []byte(d.value))
		if packed := theirs[1] == asLZF; !packed && !bytes.Equal(ours, theirs) {
			t.Errorf("%q becomes %x, redis says %s", d.value, ours, d.payload)
		}
	}
	for _, n := range []int{1<<6 - 1, 1 << 6, 1<<14 - 1, 1 << 14, 1 << 20} {
		value := bytes.Repeat([]byte("v"), n)
		if got, err := decodeDump(nil, appendDump(nil, value), int64(n)); err != nil || !bytes.Equal(got, value) {
			t.Errorf("%d bytes come back as %d, %v", n, len(got), err)
		}
	}
}

// sealed gives a body the version and checksum that make a payload of it.
func sealed(version uint16, body string) []byte {
	b := binary.LittleEndian.AppendUint16([]byte(body), version)
	return binary.LittleEndian.AppendUint64(b, dumpSum(b))
}

func TestBadDumpsAreRefused(t *testing.T) {
	for _, c := range []struct {
		payload []byte
		want    error
	}{
		{nil, errDumpFooter},
		{payload(t, "00c0010a002678e7b6d10111fd"), errDumpFooter},
		{payload(t, "00c0020a002678e7b6d10111fc"), errDumpFooter},
		{sealed(dumpVersionMax+1, "\x00\x01a"), errDumpFooter},
		{sealed(10, ""), errDumpFormat},
		{sealed(10, "\x00"), errDumpFormat},
		{sealed(10, "\x01\x01a"), errDumpFormat},
		{sealed(10, "\x00\x02a"), errDumpFormat},
		{sealed(10, "\x00\x40"), errDumpFormat},
		{sealed(10, "\x00\x80\x00\x00"), errDumpFormat},
		{sealed(10, "\x00\x82\x00"), errDumpFormat},
		{sealed(10, "\x00\xc0"), errDumpFormat},
		{sealed(10, "\x00\xc2\x00\x00\x00"), errDumpFormat},
		{sealed(10, "\x00\xc4\x00"), errDumpFormat},
		{sealed(10, "\x00\xc3\x01\x05\x00"), errDumpFormat},              // a literal that is not there
		{sealed(10, "\x00\xc3\x02\x05\x00a"), errDumpFormat},             // less than was said
		{sealed(10, "\x00\xc3\x04\x03\x00a\x20\x01"), errDumpFormat},     // a copy from before the beginning
		{sealed(10, "\x00\xc3\x04\x03\x00a\xe0\x00\x00"), errDumpFormat}, // more than was said
		{sealed(10, "\x00\x81\xff\xff\xff\xff\xff\xff\xff\xff"), ErrTooLarge},
		{sealed(10, "\x00\xc3\x02\x80\x7f\xff\xff\xff\x00a"), ErrTooLarge},
	} {
		if got, err := decodeDump(nil, c.payload, 1000); !errors.Is(err, c.want) {
			t.Errorf("%x: %q, %v, want %v", c.payload, got, err, c.want)
		}
	}
	for _, version := range []uint16{1, 11, 12, 80} { // Redis 2.6, 7.2, 7.4, Valkey 9
		if got, err := decodeDump(nil, sealed(version, "\x00\x01a"), 1000); err != nil || string(got) != "a" {
			t.Errorf("version %d: %q, %v", version, got, err)
		}
	}
}

// FuzzDecodeDump: any bytes are a value within the limit or an error, and a value
// survives the way there and back.
func FuzzDecodeDump(f *testing.F) {
	for _, d := range dumped {
		b := payload(f, d.payload)
		f.Add(b[:len(b)-dumpFooter])
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		value, err := decodeDump(nil, sealed(10, string(body)), 1000)
		if err != nil {
			return
		}
		if len(value) > 1000 {
			t.Fatalf("%d bytes", len(value))
		}
		again, err := decodeDump(nil, appendDump(nil, value), 1000)
		if err != nil || !bytes.Equal(again, value) {
			t.Fatalf("%q became %q, %v", value, again, err)
		}
	})
}
