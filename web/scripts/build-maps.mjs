// Writes the map pack `public/maps/china.json` from the map files of the echarts 4.9.0 package.
//
// The page reads the pack at run time, so a deployment may put another file (a map with its own
// approval number) in its place without a rebuild. The outlines are stored as zigzag deltas in
// 1/1024 degree; the South China Sea inset and Diaoyu Island live in two source files of their
// own, which a chart other than ECharts would lose without a word.
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const web = join(dirname(fileURLToPath(import.meta.url)), '..');
const echarts = join(web, 'node_modules', 'echarts');
const out = join(web, 'public', 'maps');

/** GB/T 2260 code -> English name and the long Chinese name that order data may carry instead. */
const NAMES = {
  110000: ['Beijing', '北京市'],
  120000: ['Tianjin', '天津市'],
  130000: ['Hebei', '河北省'],
  140000: ['Shanxi', '山西省'],
  150000: ['Inner Mongolia', '内蒙古自治区'],
  210000: ['Liaoning', '辽宁省'],
  220000: ['Jilin', '吉林省'],
  230000: ['Heilongjiang', '黑龙江省'],
  310000: ['Shanghai', '上海市'],
  320000: ['Jiangsu', '江苏省'],
  330000: ['Zhejiang', '浙江省'],
  340000: ['Anhui', '安徽省'],
  350000: ['Fujian', '福建省'],
  360000: ['Jiangxi', '江西省'],
  370000: ['Shandong', '山东省'],
  410000: ['Henan', '河南省'],
  420000: ['Hubei', '湖北省'],
  430000: ['Hunan', '湖南省'],
  440000: ['Guangdong', '广东省'],
  450000: ['Guangxi', '广西壮族自治区'],
  460000: ['Hainan', '海南省'],
  500000: ['Chongqing', '重庆市'],
  510000: ['Sichuan', '四川省'],
  520000: ['Guizhou', '贵州省'],
  530000: ['Yunnan', '云南省'],
  540000: ['Xizang', '西藏自治区'],
  610000: ['Shaanxi', '陕西省'],
  620000: ['Gansu', '甘肃省'],
  630000: ['Qinghai', '青海省'],
  640000: ['Ningxia', '宁夏回族自治区'],
  650000: ['Xinjiang', '新疆维吾尔自治区'],
  710000: ['Taiwan', '台湾省'],
  810000: ['Hong Kong', '香港特别行政区'],
  820000: ['Macao', '澳门特别行政区'],
};

const source = JSON.parse(readFileSync(join(echarts, 'map', 'json', 'china.json'), 'utf8'));
const regions = source.features.map(regionOf).sort((a, b) => a.code.localeCompare(b.code));
if (regions.length !== 34) throw new Error(`34 provinces expected, ${regions.length} found`);

const diaoyu = pointsIn('diaoyuIsland.js');
regions.find((region) => region.code === '710000').polygons.push(...diaoyu);

// Cities with the code of their province, for pulses and arcs; districts of the four municipalities
// and of Hong Kong, Macao and Taiwan are not in the source and fall back to their province.
const cities = JSON.parse(readFileSync(join(echarts, 'map', 'json', 'china-cities.json'), 'utf8'));
const places = cities.features.map(({ id, properties }) => ({
  name: properties.name,
  region: `${id.slice(0, 2)}0000`,
  at: properties.cp.map(rounded),
}));

const pack = {
  $doc: 'Map pack: regions as [longitude, latitude] outlines; inset in its own box, y downwards.',
  id: 'china',
  attribution: 'Derived from Apache ECharts 4.9.0 map data, Apache-2.0; see LICENSE and NOTICE',
  caption: { zh: '示意图', en: 'Schematic map' },
  regions,
  places,
  marks: [{ name: { zh: '钓鱼岛', en: 'Diaoyu Dao' }, at: centreOf(diaoyu[0]) }],
  inset: {
    name: { zh: '南海诸岛', en: 'South China Sea Islands' },
    box: [64, 93.1],
    polygons: pointsIn('nanhai.js'),
  },
};

mkdirSync(out, { recursive: true });
writeFileSync(join(out, 'china.json'), JSON.stringify(pack));
copyFileSync(join(echarts, 'LICENSE'), join(out, 'LICENSE'));
writeFileSync(
  join(out, 'NOTICE'),
  readFileSync(join(echarts, 'NOTICE'), 'utf8').trimEnd() +
    '\n\nchina.json is derived from map/json/china.json, map/json/china-cities.json, lib/coord/geo/fix/nanhai.js and\n' +
    'lib/coord/geo/fix/diaoyuIsland.js of the package echarts 4.9.0: decoded, rounded to three\n' +
    'decimals, English names added.\n',
);
console.log(`map pack china: ${regions.length} regions, ${places.length} places, ${JSON.stringify(pack).length} bytes`);

function regionOf(feature) {
  const { coordinates, encodeOffsets } = feature.geometry;
  // A Polygon holds rings, a MultiPolygon holds polygons; only outer rings occur in this file.
  const rings =
    feature.geometry.type === 'Polygon'
      ? coordinates.map((text, i) => decodeRing(text, encodeOffsets[i]))
      : coordinates.flatMap((polygon, i) =>
          polygon.map((text, k) => decodeRing(text, encodeOffsets[i][k])),
        );
  const [english, long] = NAMES[feature.id];
  return {
    code: feature.id,
    name: { zh: feature.properties.name, en: english },
    aliases: [long, english, feature.id],
    label: feature.properties.cp.map(rounded),
    polygons: rings,
  };
}

function decodeRing(text, [startX, startY]) {
  const ring = [];
  let [x, y] = [startX, startY];
  for (let i = 0; i < text.length; i += 2) {
    x += zigzag(text.charCodeAt(i) - 64);
    y += zigzag(text.charCodeAt(i + 1) - 64);
    ring.push([rounded(x / 1024), rounded(y / 1024)]);
  }
  return ring;
}

function zigzag(value) {
  return (value >> 1) ^ -(value & 1);
}

function rounded(degrees) {
  return Math.round(degrees * 1000) / 1000;
}

/** The literal polygons of one of the two fix files, which are code and not data. */
function pointsIn(file) {
  const code = readFileSync(join(echarts, 'lib', 'coord', 'geo', 'fix', file), 'utf8');
  const literal = /var points = (\[[^;]*\]);/.exec(code)?.[1];
  if (literal === undefined) throw new Error(`no polygons found in ${file}`);
  return JSON.parse(literal);
}

function centreOf(ring) {
  const mean = (axis) => ring.reduce((sum, point) => sum + point[axis], 0) / ring.length;
  return [rounded(mean(0)), rounded(mean(1))];
}
