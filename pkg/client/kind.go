package client

// opKind is what the client knows of a command.
type opKind uint8

const (
	opGet opKind = iota
	opSet
	opDel
	opExists
	opPTTL
	opTouch
	opIncrBy
	opAppend
	opGetDel
	opGetEx
	opPExpire
	opPExpireAt
	opPersist
	opDelIfVer

	opRead    // words of a caller that only read
	opWrite   // words of a caller that may change data
	opControl // words of the client's own: no key
)

// kinds are the commands by their opKind.
var kinds = [...]struct {
	name  string
	reads bool // changes nothing, so that it may be sent again
	value bool // command.value stands behind the key
}{
	opGet:       {name: "GET", reads: true},
	opSet:       {name: "SET", value: true},
	opDel:       {name: "DEL"},
	opExists:    {name: "EXISTS", reads: true},
	opPTTL:      {name: "PTTL", reads: true},
	opTouch:     {name: "TOUCH", reads: true},
	opIncrBy:    {name: "INCRBY"},
	opAppend:    {name: "APPEND", value: true},
	opGetDel:    {name: "GETDEL"},
	opGetEx:     {name: "GETEX"},
	opPExpire:   {name: "PEXPIRE"},
	opPExpireAt: {name: "PEXPIREAT"},
	opPersist:   {name: "PERSIST"},
	opDelIfVer:  {name: "DELIFVER"},
	opRead:      {reads: true},
	opWrite:     {},
	opControl:   {reads: true},
}

// repeatable says that sending the command twice does what sending it once does.
func (k opKind) repeatable() bool { return kinds[k].reads }

func (k opKind) String() string { return kinds[k].name }
