/**
 * The words of the page itself, in both languages. What a screen is about (titles, labels, the
 * definition of a figure) is in its screen definition, not here.
 */
export type Language = 'zh' | 'en';

/** A text in both languages. */
export type Bilingual = Readonly<Record<Language, string>>;

export const WORDS = {
  live: { zh: '实时', en: 'LIVE' },
  demo: { zh: '演示', en: 'DEMO' },
  replay: { zh: '回放', en: 'REPLAY' },
  rehearsal: { zh: '彩排', en: 'REHEARSAL' },
  rehearsalNote: { zh: '压测数据，不计入任何正式数字', en: 'Load-test figures that count nowhere' },
  connecting: { zh: '连接中', en: 'CONNECTING' },
  reconnecting: { zh: '重连中', en: 'RECONNECTING' },
  loading: { zh: '接收数据', en: 'RECEIVING' },
  catchingUp: { zh: '追赶中', en: 'CATCHING UP' },
  stale: { zh: '数据滞后', en: 'STALE' },
  quiet: { zh: '无新订单', en: 'QUIET' },
  inError: { zh: '部分时段算不出', en: 'NOT ALL COMPUTED' },
  pause: { zh: '暂停画面', en: 'Pause the picture' },
  goOn: { zh: '继续', en: 'Go on' },
  paused: { zh: '已暂停', en: 'PAUSED' },
  waiting: { zh: '等待首个数据', en: 'Waiting for the first figures' },
  notServed: { zh: '服务端未提供此视图', en: 'The server does not serve this view' },
  lastAt: { zh: '最后更新', en: 'last at' },
  asOf: { zh: '截至', en: 'as of' },
  cut: { zh: '切点', en: 'cut' },
  watermark: { zh: '水位', en: 'watermark' },
  revised: { zh: '订正', en: 'Revised' },
  recomputing: { zh: '核对中，保持上一数值', en: 'Recomputing, last figure held' },
  provisional: { zh: '暂计', en: 'provisional' },
  settled: { zh: '已定', en: 'settled' },
  final: { zh: '终值', en: 'final' },
  dayTotal: { zh: '总计', en: 'total' },
  newDay: { zh: '新的一天', en: 'New day' },
  other: { zh: '其他', en: 'Other' },
  offMap: { zh: '未上图', en: 'Not on the map' },
  total: { zh: '合计', en: 'Total' },
  rootScale: { zh: '平方根刻度', en: 'root scale' },
  peak: { zh: '峰值', en: 'peak' },
  now: { zh: '最新', en: 'latest' },
  unknown: { zh: '未注明', en: 'Not stated' },
  noData: { zh: '无成交', en: 'no sales' },
  balanced: { zh: '账平', en: 'Balanced' },
  unbalanced: { zh: '账不平', en: 'Does not add up' },
  sampled: { zh: '抽样展示', en: 'sampled' },
  perSecond: { zh: '笔/秒', en: 'per second' },
  next: { zh: '下一站', en: 'next' },
  yearOnYear: { zh: '较去年同时刻', en: 'vs last year, same time' },
  forecast: { zh: '全天预测', en: 'Day forecast' },
  language: { zh: '中文', en: 'EN' },
  target: { zh: '目标', en: 'target' },
  toStart: { zh: '距开场', en: 'starts in' },
  sinceStart: { zh: '已开场', en: 'T+' },
  closed: { zh: '已收官', en: 'closed' },
  faster: { zh: '快', en: 'faster by' },
  slower: { zh: '慢', en: 'slower by' },
  about: { zh: '约', en: 'about' },
  exactToSecond: { zh: '精确到秒', en: 'exact to the second' },
  between: { zh: '发生于', en: 'some time within' },
  took: { zh: '用时', en: 'in' },
  passed: { zh: '突破', en: 'Passed' },
  allPassed: { zh: '全部达成', en: 'All passed' },
  estimated: { zh: '预计', en: 'est.' },
  notBefore: { zh: '最早', en: 'not before' },
  missingYet: { zh: '尚差', en: 'to go' },
  lastYearAt: { zh: '去年', en: 'last year' },
  noneYet: { zh: '尚未达成', en: 'none yet' },
  good: { zh: '正常', en: 'good' },
  watch: { zh: '留意', en: 'watch' },
  wrong: { zh: '异常', en: 'wrong' },
  crowded: { zh: '视图 {view} 一个窗口有 {rows} 行', en: 'View {view} has {rows} rows for one window' },
  crowdedHelp: { zh: '此处只能显示一行：请写明筛选条件', en: 'a figure needs one: name a filter' },
  noFigure: { zh: '暂无数据', en: 'no figures yet' },
  broken: { zh: '此面板出错', en: 'This panel failed' },
  mapApproval: { zh: '审图号', en: 'map no.' },
  scene: { zh: '场景', en: 'scene' },
  pinned: { zh: '已固定', en: 'pinned' },
  events: { zh: '最近事件', en: 'What happened' },
  low: { zh: '低', en: 'low' },
  high: { zh: '高', en: 'high' },
  twinPlace: { zh: '地区', en: 'Place' },
  twinCity: { zh: '城市', en: 'City' },
  twinCities: { zh: '城市', en: 'cities' },
  twinFlows: { zh: '流向', en: 'flows' },
  twinFrom: { zh: '发自', en: 'From' },
  twinTo: { zh: '发往', en: 'To' },
  twinTime: { zh: '时间', en: 'Time' },
  twinCount: { zh: '数量', en: 'Count' },
  twinValue: { zh: '数值', en: 'Value' },
  twinFilling: { zh: '进行中', en: 'so far' },
  noTwins: { zh: '当前画面全部为文字，无图形', en: 'All of this picture is text; nothing is drawn' },
  mapMissing: { zh: '地图文件不可用', en: 'Map file not available' },
  noScreen: { zh: '无法读取大屏定义，正在重试', en: 'Cannot read the screen definition, retrying' },
  noSuchScreen: { zh: '没有这块大屏', en: 'There is no such screen' },
  screensThereAre: { zh: '现有大屏', en: 'Screens there are' },
  notAllowed: { zh: '无权查看此大屏', en: 'You may not see this screen' },
  signedInAs: { zh: '当前登录', en: 'Logged in as' },
  logInAsAnother: { zh: '以其他用户登录', en: 'Log in as another' },
  token: { zh: '密钥', en: 'Key' },
  userName: { zh: '用户名（密钥已含用户名时可留空）', en: 'Name (may stay empty with a whole key)' },
  logIn: { zh: '登录', en: 'Log in' },
  logOut: { zh: '退出登录', en: 'Log out' },
  wrongToken: { zh: '用户名或密钥不正确', en: 'This name or key is not known' },
  tooManyTries: { zh: '尝试次数过多，请稍候', en: 'Too many tries, please wait' },
  pairInstead: { zh: '这是一块大屏：用配对码登录', en: 'This is a wall: pair it by a code' },
  logInInstead: { zh: '改用密钥登录', en: 'Log in with a key instead' },
  pairLead: { zh: '此大屏尚未配对', en: 'This wall is not paired' },
  pairHow: {
    zh: '请管理员（admin 角色）在配对页输入此码，或运行命令：',
    en: 'An admin enters this code on the page /devices, or with the command above',
  },
  codeLives: { zh: '配对码剩余', en: 'code lives' },
  walls: { zh: '大屏管理', en: 'Walls' },
  toTheWall: { zh: '返回大屏', en: 'To the wall' },
  otherLanguage: { zh: '切换至 English', en: 'Switch to Chinese' },
  noPairingNeeded: { zh: '此服务端无需登录，也就无需配对', en: 'This server asks nobody for a key, so no wall needs to be paired' },
  mayNotPair: { zh: '配对大屏需要管理员（admin）角色', en: 'Pairing walls needs the role admin' },
  pairAWall: { zh: '配对大屏', en: 'Pair a wall' },
  codeOnTheWall: { zh: '大屏上显示的六位数字', en: 'The six digits on the wall' },
  wallName: { zh: '名称', en: 'Name' },
  screensItShows: { zh: '可显示的画面', en: 'Screens it shows' },
  allScreens: { zh: '全部', en: 'all' },
  approve: { zh: '批准', en: 'Approve' },
  paired: { zh: '已配对', en: 'Paired' },
  noSuchCode: { zh: '没有大屏显示此码，或已过期', en: 'No wall shows this code, or it is over' },
  waitingWalls: { zh: '等待配对', en: 'Waiting to be paired' },
  nobodyWaits: { zh: '暂无', en: 'none' },
  pairedWalls: { zh: '已配对的大屏', en: 'Paired walls' },
  pairedByAt: { zh: '批准人与时间', en: 'Paired by, at' },
  lastSeen: { zh: '最近连接', en: 'Last seen' },
  noWalls: { zh: '尚无大屏', en: 'No walls yet' },
  revoke: { zh: '吊销', en: 'Revoke' },
  reallyRevoke: { zh: '确认吊销？', en: 'Really revoke?' },
  revoked: { zh: '已吊销', en: 'Revoked' },
  noServer: { zh: '服务端没有应答', en: 'The server does not answer' },
  help: { zh: '快捷键', en: 'Keys' },
  keyLanguage: { zh: '中文 / English', en: '中文 / English' },
  keyFullscreen: { zh: '全屏', en: 'Full screen' },
  keyPause: { zh: '暂停画面（数据继续接收）', en: 'Pause the picture (figures keep arriving)' },
  keyMotion: { zh: '动效开关', en: 'Motion on or off' },
  keyScenes: { zh: '固定场景；0 恢复轮播', en: 'Pin a scene; 0 lets them go on' },
  keyTables: { zh: '图形的数字表', en: 'Tables of what is drawn' },
  keyHelp: { zh: '本帮助', en: 'This help' },
  keyClose: { zh: '关闭', en: 'Close' },
  wakeLock: { zh: '屏幕常亮', en: 'Screen kept awake' },
  yes: { zh: '是', en: 'yes' },
  no: { zh: '否', en: 'no' },
  build: { zh: '版本', en: 'build' },
} as const satisfies Record<string, Bilingual>;

export type Word = keyof typeof WORDS;

export function word(name: Word, language: Language): string {
  return WORDS[name][language];
}

/** What the roles of users are called. */
const ROLES: Readonly<Record<string, Bilingual>> = {
  viewer: { zh: '观看', en: 'viewer' },
  analyst: { zh: '分析', en: 'analyst' },
  media: { zh: '媒体', en: 'media' },
  operator: { zh: '运维', en: 'operator' },
  admin: { zh: '管理', en: 'admin' },
};

/** A role; one of a newer server is called as the server calls it. */
export function roleName(role: string, language: Language): string {
  return ROLES[role]?.[language] ?? role;
}

/** A word in both languages, for who has not chosen one yet. */
export function both(name: Word): string {
  return `${WORDS[name].zh} · ${WORDS[name].en}`;
}

/** `text` in the brackets of the language. */
export function bracketed(text: string, language: Language): string {
  return language === 'zh' ? `（${text}）` : `(${text})`;
}
