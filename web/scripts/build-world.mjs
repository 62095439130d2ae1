// Writes the pack of the globe, `public/maps/world.json`: dots where there is land, and the places of
// countries and regions with their names. No border is drawn, so none is disputed.
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { geoContains } from 'd3-geo';
import { feature } from 'topojson-client';

const web = join(dirname(fileURLToPath(import.meta.url)), '..');
const atlas = JSON.parse(readFileSync(join(web, 'node_modules', 'world-atlas', 'land-110m.json'), 'utf8'));
const land = feature(atlas, atlas.objects.land);

/** Degrees between rows of dots; along a row they are as far apart on the sphere. */
const STEP = 2.2;

/** ISO 3166-1 code, names, longitude and latitude of where sales of the place are shown. */
const PLACES = [
  ['CN', '中国', 'China', 118.5, 31.5],
  ['RU', '俄罗斯', 'Russia', 37.6, 55.8],
  ['US', '美国', 'United States', -95, 39],
  ['ES', '西班牙', 'Spain', -3.7, 40.4],
  ['FR', '法国', 'France', 2.4, 47.5],
  ['BR', '巴西', 'Brazil', -47, -20],
  ['MY', '马来西亚', 'Malaysia', 101.7, 3.1],
  ['TH', '泰国', 'Thailand', 100.5, 14],
  ['PH', '菲律宾', 'Philippines', 121, 14.6],
  ['SG', '新加坡', 'Singapore', 103.8, 1.3],
  ['VN', '越南', 'Vietnam', 106.7, 10.8],
  ['ID', '印度尼西亚', 'Indonesia', 106.8, -6.2],
  ['KR', '韩国', 'South Korea', 127, 37.5],
  ['JP', '日本', 'Japan', 139.7, 35.7],
  ['GB', '英国', 'United Kingdom', -0.1, 51.5],
  ['DE', '德国', 'Germany', 10.5, 51],
  ['IT', '意大利', 'Italy', 12.5, 42.5],
  ['PL', '波兰', 'Poland', 19.5, 52],
  ['AU', '澳大利亚', 'Australia', 151.2, -33.9],
  ['SA', '沙特阿拉伯', 'Saudi Arabia', 46.7, 24.7],
  ['CA', '加拿大', 'Canada', -79.4, 43.7],
  ['MX', '墨西哥', 'Mexico', -99.1, 19.4],
  ['CL', '智利', 'Chile', -70.7, -33.4],
  ['ZA', '南非', 'South Africa', 28, -26.2],
  ['KZ', '哈萨克斯坦', 'Kazakhstan', 76.9, 43.2],
  ['AE', '阿联酋', 'United Arab Emirates', 55.3, 25.2],
  ['NL', '荷兰', 'Netherlands', 4.9, 52.4],
  ['UA', '乌克兰', 'Ukraine', 30.5, 50.4],
  ['TR', '土耳其', 'Türkiye', 29, 41],
  ['NZ', '新西兰', 'New Zealand', 174.8, -36.9],
];

const dots = [];
for (let latitude = -58; latitude <= 82; latitude += STEP) {
  const count = Math.max(1, Math.round((360 / STEP) * Math.cos((latitude * Math.PI) / 180)));
  for (let i = 0; i < count; i += 1) {
    const longitude = -180 + (360 * i) / count;
    if (geoContains(land, [longitude, latitude])) dots.push([tenth(longitude), tenth(latitude)]);
  }
}

const pack = {
  $doc: 'Pack of the globe: dots on land as [longitude, latitude]; regions are places with names, without outlines.',
  id: 'world',
  attribution: 'Dots from world-atlas 2.0.2 (Natural Earth, public domain; ISC)',
  caption: { zh: '示意图', en: 'Schematic map' },
  regions: PLACES.map(([code, zh, en, longitude, latitude]) => ({
    code,
    name: { zh, en },
    aliases: [code, en],
    label: [longitude, latitude],
    polygons: [],
  })),
  dots,
};
writeFileSync(join(web, 'public', 'maps', 'world.json'), JSON.stringify(pack));
console.log(`map pack world: ${pack.regions.length} places, ${dots.length} dots, ${JSON.stringify(pack).length} bytes`);

function tenth(degrees) {
  return Math.round(degrees * 10) / 10;
}
