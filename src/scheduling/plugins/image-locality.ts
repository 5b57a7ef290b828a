/**
 * Prefers nodes that already have the pod's images, big ones more than small ones. An image counts
 * with the share of nodes that have it, so that the one node with it does not draw every pod.
 *
 * Sums from 23 MiB (nothing gained) to 1,000 MiB per container (best) give 0 to 100.
 */
import type { Plugin } from '../plugin.ts';

const mebibyte = 1024 * 1024;
const leastBytes = 23 * mebibyte;
const mostBytesPerContainer = 1000 * mebibyte;

export const imageLocality: Plugin = {
  name: 'ImageLocality',
  score: {
    weight: 1,
    applies: ({ images }) => images.length > 0,
    of: ({ images, containerCount }, node, context) => {
      if (node.images.size === 0) return 0;
      let sum = 0;
      for (const image of images) {
        const bytes = node.images.get(image);
        if (bytes === undefined) continue;
        sum += Math.floor((bytes * context.nodesWithImage(image)) / context.nodeCount);
      }
      const most = mostBytesPerContainer * containerCount;
      const counted = Math.min(Math.max(sum, leastBytes), most);
      return Math.floor((100 * (counted - leastBytes)) / (most - leastBytes));
    },
  },
  helps: () => false,
};
